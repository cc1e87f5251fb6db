import type { View } from "../../backend.ts";
import { type FloatDType, sizeOf, type WideDType, wideOf } from "../../dtype.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of sumSquares, as kernels and references see them. */
export type SumSquares = { in: { x: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} };

/** The op behind sumSquares(): its shapes, its reference and its gradient. */
export const sumSquaresOp: Op<SumSquares> = defineOp<SumSquares>({
  name: "sumSquares",
  keeps: () => ({}),
  infer: ({ in: { x } }) => ({ out: { y: { dtype: wideOf(x.dtype), shape: [] } }, saved: {} }),
  forward(p, { in: { x } }) {
    const wide = p.reshape(p.cast(x, wideOf(x.dtype)), [sizeOf(x.shape)]);
    return { out: { y: p.reshape(p.sum(p.mul(wide, wide), 0), []) }, saved: {} };
  },
});

/** Σ x² over every element, in f32 (f64 for f64): one tensor's part of the global gradient norm. No gradient. */
export function sumSquares(x: Tensor<FloatDType>): Tensor<WideDType, readonly []> {
  return run(sumSquaresOp, { in: { x }, attrs: {}, axes: { y: [] } }).y;
}
