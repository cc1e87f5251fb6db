import { type DType, dim } from "../../dtype.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";
import { reshapeOp } from "../splitLast/splitLast.ts";

/** [..., a, b] -> [..., a·b] under a new name; the inverse of splitLast. */
export function mergeLast<D extends DType, B extends Axes, const N extends string>(
  x: Tensor<D, readonly [...B, string, string]>,
  name: N,
): Tensor<D, readonly [...B, N]> {
  const shape = [...x.shape.slice(0, -2), dim(x, -2) * dim(x, -1)];
  return run(reshapeOp, { in: { x }, attrs: { shape }, axes: { y: [...x.axes.slice(0, -2), name] } }).y;
}
