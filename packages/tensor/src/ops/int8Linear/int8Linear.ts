import type { View } from "../../backend.ts";
import { dim, type FloatDType, isFloat, sameShape, showShape, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of int8Linear, as kernels and references see them. */
export type Int8LinearShape = {
  in: { x: View; weight: View; absmax: View; bias?: View };
  out: { y: View };
  attrs: {};
  keeps: { weight?: View; absmax?: View };
  saved: {};
};

/** code·absmax/127 by rows in f32, the division as a product with 1/127 like bitsandbytes. */
export function decodeInt8(p: P, weight: View, absmax: View): View {
  const rows = p.reshape(p.cast(absmax, "f32"), [dim(absmax, 0), 1]);
  return p.mul(p.mul(p.cast(weight, "f32"), rows), 1 / 127);
}

/** dX = g·W;  dBias = Σ g. Keeps the codes, never a dense weight, and no activation. */
export const int8LinearOp: Op<Int8LinearShape> = defineOp<Int8LinearShape>({
  name: "int8Linear",
  keeps: ({ x }) => ({ weight: x, absmax: x }),
  infer({ in: { x, weight, absmax, bias } }) {
    const stored = weight.dtype === "i8" && isFloat(absmax.dtype) && weight.shape.length === 2;
    const outer = dim(weight, 0);
    const fits = stored && dim(x, -1) === dim(weight, 1) && sameShape(absmax.shape, [outer]);
    if (!fits || (bias && !sameShape(bias.shape, [outer])))
      throw new FtError(
        "shape",
        `[int8Linear] ${showShape(x.shape)} · (${weight.dtype} ${showShape(weight.shape)})ᵀ, absmax ${showShape(absmax.shape)}${bias ? `, bias ${showShape(bias.shape)}` : ""}`,
        "the weight is i8 [out, in], `in` is the last axis of x, absmax and bias are [out]",
      );
    return { out: { y: { dtype: x.dtype, shape: [...x.shape.slice(0, -1), outer] } }, saved: {} };
  },
  forward(p, { in: { x, weight, absmax, bias } }) {
    const wide = wideOf(x.dtype);
    const y = p.matmul(p.rows(p.cast(x, wide)), p.cast(decodeInt8(p, weight, absmax), wide), { tb: true });
    const sum = bias ? p.add(y, p.cast(bias, wide)) : y;
    return { out: { y: p.reshape(p.cast(sum, x.dtype), [...x.shape.slice(0, -1), dim(weight, 0)]) }, saved: {} };
  },
  vjp(p, { kept: { weight, absmax }, grad: { y }, wants, spec }) {
    const wide = wideOf(y.dtype);
    const g = p.rows(p.cast(y, wide));
    const dx = weight && absmax && p.matmul(g, p.cast(decodeInt8(p, weight, absmax), wide));
    return {
      ...(dx && { x: p.cast(p.reshape(dx, spec.x.shape), spec.x.dtype) }),
      ...(wants.bias && spec.bias && { bias: p.cast(p.unbroadcast(g, spec.bias.shape), spec.bias.dtype) }),
    };
  },
});

/**
 * x · Wᵀ + bias over a frozen weight of 8-bit codes, W = weight·absmax/127 by rows (LLM.int8, Dettmers et al. 2022, without
 * its outliers), in the dtype of x. weight [out, in], absmax [out]; products and sums are f32 (f64 for f64). Gradients: x and bias.
 */
export function int8Linear<D extends FloatDType, B extends Axes, I extends string, O extends string>(
  x: Tensor<D, readonly [...B, I]>,
  weight: Tensor<"i8", readonly [O, NoInfer<I>]>,
  absmax: Tensor<FloatDType, readonly [NoInfer<O>]>,
  bias?: Tensor<FloatDType, readonly [NoInfer<O>]>,
): Tensor<D, readonly [...B, O]> {
  const axes = { y: [...x.axes.slice(0, -1), ...weight.axes.slice(0, 1)] };
  return run(int8LinearOp, { in: { x, weight, absmax, ...(bias && { bias }) }, attrs: {}, axes }).y;
}
