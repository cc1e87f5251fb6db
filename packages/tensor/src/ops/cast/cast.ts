import type { View } from "../../backend.ts";
import type { FloatDType } from "../../dtype.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of cast, as kernels and references see them. */
export type Cast = { in: { x: View }; out: { y: View }; attrs: { dtype: FloatDType }; keeps: {}; saved: {} };

/** The op behind cast(): its shapes, its reference and its gradient. */
export const castOp: Op<Cast> = defineOp<Cast>({
  name: "cast",
  keeps: () => ({}),
  infer: ({ in: { x }, attrs: { dtype } }) => ({ out: { y: { dtype, shape: x.shape } }, saved: {} }),
  forward: (p, { in: { x }, attrs: { dtype } }) => ({ out: { y: p.copy(x, dtype) }, saved: {} }),
  vjp: (p, { grad: { y }, spec }) => ({ x: p.cast(y, spec.x.dtype) }),
});

/** A copy in another float dtype, rounded to nearest even. */
export function cast<D extends FloatDType, A extends Axes>(x: Tensor<FloatDType, A>, dtype: D): Tensor<D, A> {
  return run(castOp, { in: { x }, attrs: { dtype }, axes: { y: x.axes } }).y;
}
