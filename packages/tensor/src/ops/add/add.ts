import type { View } from "../../backend.ts";
import { type FloatDType, sameShape, showShape } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of add, as kernels and references see them. */
export type Add = { in: { a: View; b: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} };

/** The op behind add(): its shapes, its reference and its gradient. */
export const addOp: Op<Add> = defineOp<Add>({
  name: "add",
  keeps: () => ({}),
  infer({ in: { a, b } }) {
    if (!sameShape(a.shape, b.shape))
      throw new FtError(
        "shape",
        `[add] ${showShape(a.shape)} + ${showShape(b.shape)}`,
        "both must have the same shape",
      );
    return { out: { y: a }, saved: {} };
  },
  forward: (p, { in: { a, b } }) => ({ out: { y: p.add(a, b) }, saved: {} }),
  vjp: (_, { grad: { y }, wants }) => ({ ...(wants.a && { a: y }), ...(wants.b && { b: y }) }),
});

/** a + b, elementwise; both have the same axes. */
export function add<D extends FloatDType, A extends Axes>(
  a: Tensor<D, A>,
  b: Tensor<NoInfer<D>, NoInfer<A>>,
): Tensor<D, A> {
  return run(addOp, { in: { a, b }, attrs: {}, axes: { y: a.axes } }).y;
}
