import type { View } from "../../backend.ts";
import type { FloatDType } from "../../dtype.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of divide, as kernels and references see them. */
export type Divide = { in: { x: View; by: View }; out: { y: View }; attrs: {}; keeps: { by: View }; saved: {} };

/** The op behind divide(): its shapes, its reference and its gradient. */
export const divideOp: Op<Divide> = defineOp<Divide>({
  name: "divide",
  keeps: () => ({ by: true }),
  infer: ({ in: { x } }) => ({ out: { y: x }, saved: {} }),
  forward: (p, { in: { x, by } }) => ({ out: { y: p.div(x, by) }, saved: {} }),
  vjp: (p, { grad: { y }, kept: { by }, wants }) => ({ ...(wants.x && { x: p.div(y, by) }) }),
});

/** x / by for a 0-d `by` that gets no gradient: the summed loss over its count of target tokens. */
export function divide<D extends FloatDType, A extends Axes>(
  x: Tensor<D, A>,
  by: Tensor<NoInfer<D>, readonly []>,
): Tensor<D, A> {
  return run(divideOp, { in: { x, by }, attrs: {}, axes: { y: x.axes } }).y;
}
