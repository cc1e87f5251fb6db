import type { View } from "../../backend.ts";
import { dim, type FloatDType, showShape, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of linear, as kernels and references see them. */
export type LinearShape = {
  in: { x: View; weight: View; bias?: View };
  out: { y: View };
  attrs: {};
  keeps: { x?: View; weight?: View };
  saved: {};
};

/** dX = g·W;  dW = gᵀ·X;  dBias = Σ g. A frozen weight keeps no activation. */
export const linearOp: Op<LinearShape> = defineOp<LinearShape>({
  name: "linear",
  keeps: (wants) => ({ x: wants.weight, weight: wants.x }),
  infer({ in: { x, weight, bias } }) {
    if (weight.shape.length !== 2 || dim(x, -1) !== dim(weight, 1))
      throw new FtError(
        "shape",
        `[linear] ${showShape(x.shape)} · (${showShape(weight.shape)})ᵀ`,
        "the weight is [out, in] and `in` is the last axis of x",
      );
    if (bias && (bias.shape.length !== 1 || dim(bias, 0) !== dim(weight, 0)))
      throw new FtError(
        "shape",
        `[linear] bias ${showShape(bias.shape)} for weight ${showShape(weight.shape)}`,
        "the bias is [out]",
      );
    return { out: { y: { dtype: x.dtype, shape: [...x.shape.slice(0, -1), dim(weight, 0)] } }, saved: {} };
  },
  forward(p, { in: { x, weight, bias } }) {
    const wide = wideOf(x.dtype);
    const y = p.matmul(p.rows(p.cast(x, wide)), p.cast(weight, wide), { tb: true });
    const sum = bias ? p.add(y, p.cast(bias, wide)) : y;
    return { out: { y: p.reshape(p.cast(sum, x.dtype), [...x.shape.slice(0, -1), dim(weight, 0)]) }, saved: {} };
  },
  vjp(p, { kept: { x, weight }, grad: { y }, wants, spec }) {
    const wide = wideOf(y.dtype);
    const g = p.rows(p.cast(y, wide));
    return {
      ...(weight && { x: p.cast(p.reshape(p.matmul(g, p.cast(weight, wide)), spec.x.shape), spec.x.dtype) }),
      ...(x && { weight: p.cast(p.matmul(g, p.rows(p.cast(x, wide)), { ta: true }), spec.weight.dtype) }),
      ...(wants.bias && spec.bias && { bias: p.cast(p.unbroadcast(g, spec.bias.shape), spec.bias.dtype) }),
    };
  },
});

/**
 * x · weightᵀ + bias, weight [out, in] as in PyTorch and safetensors.
 * The dtypes of weight and bias are their storage and may be narrower than x's: products and sums are f32 (f64 for f64) either way.
 */
export function linear<D extends FloatDType, B extends Axes, I extends string, O extends string>(
  x: Tensor<D, readonly [...B, I]>,
  weight: Tensor<FloatDType, readonly [O, NoInfer<I>]>,
  bias?: Tensor<FloatDType, readonly [NoInfer<O>]>,
): Tensor<D, readonly [...B, O]> {
  const axes = { y: [...x.axes.slice(0, -1), ...weight.axes.slice(0, 1)] };
  return run(linearOp, { in: { x, weight, ...(bias && { bias }) }, attrs: {}, axes }).y;
}
