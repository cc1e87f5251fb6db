import type { View } from "../../backend.ts";
import { type FloatDType, sizeOf } from "../../dtype.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of sum, as kernels and references see them. */
export type Sum = { in: { x: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} };

/** The op behind sum(): its shapes, its reference and its gradient. */
export const sumOp: Op<Sum> = defineOp<Sum>({
  name: "sum",
  keeps: () => ({}),
  infer: ({ in: { x } }) => ({ out: { y: { dtype: x.dtype, shape: [] } }, saved: {} }),
  forward: (p, { in: { x } }) => ({ out: { y: p.reshape(p.sum(p.reshape(x, [sizeOf(x.shape)]), 0), []) }, saved: {} }),
  vjp: (p, { grad: { y }, spec }) => ({ x: p.add(p.fill(spec.x, 0), y) }),
});

/** Sum over every element. */
export function sum<D extends FloatDType>(x: Tensor<D>): Tensor<D, readonly []> {
  return run(sumOp, { in: { x }, attrs: {}, axes: { y: [] } }).y;
}
