import type { View } from "../../backend.ts";
import { dim, type FloatDType, showShape } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of argmax, as kernels and references see them. */
export type Argmax = {
  in: { x: View };
  /** i32 */
  out: { y: View };
  attrs: {};
  keeps: {};
  saved: {};
};

/** The op behind argmax(): its shapes and its reference. */
export const argmaxOp: Op<Argmax> = defineOp<Argmax>({
  name: "argmax",
  keeps: () => ({}),
  infer({ in: { x } }) {
    if (x.shape.length === 0 || dim(x, -1) === 0)
      throw new FtError("shape", `[argmax] ${showShape(x.shape)}`, "the last axis must have elements");
    return { out: { y: { dtype: "i32", shape: x.shape.slice(0, -1) } }, saved: {} };
  },
  forward: (p, { in: { x } }) => ({ out: { y: p.argmax(x) }, saved: {} }),
});

/** Index of the first largest value along the last axis; a NaN in front is never passed, others are passed over. No gradient. */
export function argmax<B extends Axes, L extends string>(
  x: Tensor<FloatDType, readonly [...B, L]>,
): Tensor<"i32", readonly [...B]> {
  return run(argmaxOp, { in: { x }, attrs: {}, axes: { y: x.axes.slice(0, -1) } }).y;
}
