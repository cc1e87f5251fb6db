import type { View } from "../../backend.ts";
import type { FloatDType } from "../../dtype.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of scale, as kernels and references see them. */
export type Scale = { in: { x: View; by: View }; out: { y: View }; attrs: {}; keeps: { by: View }; saved: {} };

/** The op behind scale(): its shapes, its reference and its gradient. */
export const scaleOp: Op<Scale> = defineOp<Scale>({
  name: "scale",
  keeps: () => ({ by: true }),
  infer: ({ in: { x } }) => ({ out: { y: x }, saved: {} }),
  forward: (p, { in: { x, by } }) => ({ out: { y: p.mul(x, by) }, saved: {} }),
  vjp: (p, { grad: { y }, kept: { by }, wants }) => ({ ...(wants.x && { x: p.mul(y, by) }) }),
});

/** x · by for a 0-d `by` that gets no gradient: clipping, and the residual multipliers of some models. */
export function scale<D extends FloatDType, A extends Axes>(
  x: Tensor<D, A>,
  by: Tensor<NoInfer<D>, readonly []>,
): Tensor<D, A> {
  return run(scaleOp, { in: { x, by }, attrs: {}, axes: { y: x.axes } }).y;
}
