import { type Spec, sameShape, showShape } from "../../dtype.ts";
import { FtError } from "../../error.ts";

/** Throws unless the gradient and every slot of an optimizer step have the shape of the parameter: kernels trust it. */
export function checkStep(op: string, at: { readonly param: Spec; readonly [name: string]: Spec }): void {
  if (Object.values(at).every(({ shape }) => sameShape(shape, at.param.shape))) return;
  const shown = Object.entries(at).map(([name, { shape }]) => `${name} ${showShape(shape)}`);
  throw new FtError("shape", `[${op}] ${shown.join(", ")}`, "gradient and slots have the shape of the parameter");
}
