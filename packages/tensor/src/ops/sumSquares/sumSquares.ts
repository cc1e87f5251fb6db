import type { View } from "../../backend.ts";
import { type FloatDType, sizeOf, type WideDType, wideOf } from "../../dtype.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of sumSquares, as kernels and references see them. */
export type SumSquares = { in: { x: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} };

/** The op behind sumSquares(): its shapes, its reference and its gradient. */
export const sumSquaresOp: Op<SumSquares> = defineOp<SumSquares>({
  name: "sumSquares",
  keeps: () => ({}),
  infer: ({ in: { x } }) => ({ out: { y: { dtype: wideOf(x.dtype), shape: [] } }, saved: {} }),
  forward: (p, { in: { x } }) => ({ out: { y: p.reshape(sumOfSquares(p, x), []) }, saved: {} }),
});

/** Inputs of any names, and the output, of sumSquaresEach, as kernels and references see them. */
export type SumSquaresEach = { in: { [name: string]: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} };

/** The op behind sumSquaresEach(). */
export const sumSquaresEachOp: Op<SumSquaresEach> = defineOp<SumSquaresEach>({
  name: "sumSquaresEach",
  keeps: () => ({}),
  infer({ in: specs }) {
    const xs = Object.values(specs);
    const dtype = xs.some((x) => wideOf(x.dtype) === "f64") ? "f64" : "f32";
    return { out: { y: { dtype, shape: [xs.length] } }, saved: {} };
  },
  forward(p, { in: views }) {
    const xs = Object.values(views);
    const dtype = xs.some((x) => wideOf(x.dtype) === "f64") ? "f64" : "f32";
    return {
      out: {
        y: p.concat(
          xs.map((x) => p.cast(sumOfSquares(p, x), dtype)),
          0,
        ),
      },
      saved: {},
    };
  },
});

/** Σ x², of shape [1] */
function sumOfSquares(p: P, x: View): View {
  const wide = p.reshape(p.cast(x, wideOf(x.dtype)), [sizeOf(x.shape)]);
  return p.sum(p.mul(wide, wide), 0);
}

/** Σ x² over every element, in f32 (f64 for f64): one tensor's part of the global gradient norm. No gradient. */
export function sumSquares(x: Tensor<FloatDType>): Tensor<WideDType, readonly []> {
  return run(sumSquaresOp, { in: { x }, attrs: {}, axes: { y: [] } }).y;
}

/** Σ x² of every tensor, side by side and in order: what a norm over all of them wants, in as little work as the backend can. */
export function sumSquaresEach(xs: readonly Tensor[]): Tensor<WideDType, readonly ["tensor"]> {
  const inputs = Object.fromEntries(xs.map((x, i) => [`x${i}`, x]));
  return run(sumSquaresEachOp, { in: inputs, attrs: {}, axes: { y: ["tensor"] } }).y;
}
