import {
  type Backend,
  defineOp,
  FtError,
  type Op,
  run,
  scalar,
  type Tensor,
  type View,
  type WideDType,
} from "@ft/tensor";
import type { Scalar } from "./optimizer.ts";

/** A 0-d tensor in the dtype that a parameter's arithmetic is done in. */
export function wideScalar(backend: Backend, dtype: WideDType, value: number): Scalar {
  return dtype === "f64" ? scalar(backend, "f64", value) : scalar(backend, "f32", value);
}

type Pack = { in: { [name: string]: View }; out: { y: View }; attrs: { dtype: WideDType }; keeps: {}; saved: {} };

/** Lays 0-d tensors side by side, so that many numbers cost one wait. */
const packOp: Op<Pack> = defineOp<Pack>({
  name: "optim/pack",
  keeps: () => ({}),
  infer: ({ in: xs, attrs: { dtype } }) => ({ out: { y: { dtype, shape: [Object.keys(xs).length] } }, saved: {} }),
  forward(p, { in: xs, attrs: { dtype } }) {
    const parts = Object.values(xs).map((x) => p.reshape(p.cast(x, dtype), [1]));
    return { out: { y: p.concat(parts, 0) }, saved: {} };
  },
});

/** 0-d tensors side by side, as one tensor. */
export function packed(tensors: readonly Tensor[]): Tensor<WideDType, readonly ["scalar"]> {
  const wrong = tensors.find((x) => x.shape.length > 0);
  if (wrong) throw new FtError("shape", `[readScalars] got ${wrong}`, "pass 0-d tensors");
  const inputs = Object.fromEntries(tensors.map((x, i) => [`x${i}`, x]));
  const dtype = tensors.some((x) => x.dtype === "f64") ? "f64" : "f32";
  return run(packOp, { in: inputs, attrs: { dtype }, axes: { y: ["scalar"] } }).y;
}

/** The numbers in 0-d tensors, read from the backend at once and in order. */
export async function readScalars(tensors: readonly Tensor[]): Promise<number[]> {
  if (tensors.length === 0) return [];
  using all = packed(tensors);
  return Array.from(await all.read(), Number);
}
