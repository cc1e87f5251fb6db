import type { View } from "../../backend.ts";
import { dim, type FloatDType, sameShape, showShape, sizeOf, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";
import { type DropoutAttrs, drop } from "../dropout/dropout.ts";

/** Constants of loraLinear. */
export interface LoraAttrs extends DropoutAttrs {
  /** alpha / r, or alpha / √r for rank-stabilised LoRA */
  readonly scale: number;
}

/** Inputs, outputs and attributes of loraLinear, as kernels and references see them. */
export type LoraLinearShape = {
  in: { base: View; x: View; a: View; b: View; step: View };
  out: { y: View };
  attrs: LoraAttrs;
  keeps: { x?: View; a: View; b: View; step: View };
  saved: { xa: View };
};

/**
 * y = base + scale·(drop(x)·Aᵀ)·Bᵀ.  With t = scale·g·B:  dBase = g;  dX = drop(t·A);  dA = tᵀ·drop(x);
 * dB = scale·gᵀ·(drop(x)·Aᵀ).  Never a matrix of the size of the base's weight.
 */
export const loraLinearOp: Op<LoraLinearShape> = defineOp<LoraLinearShape>({
  name: "loraLinear",
  keeps: (wants) => ({ x: wants.a, a: true, b: true, step: true }),
  inPlace: { y: "base" },
  infer({ in: { base, x, a, b } }) {
    const fits = sameShape(a.shape, [dim(a, 0), dim(x, -1)]) && sameShape(b.shape, [dim(base, -1), dim(a, 0)]);
    if (!fits || !sameShape(base.shape.slice(0, -1), x.shape.slice(0, -1)))
      throw new FtError(
        "shape",
        `[loraLinear] base ${showShape(base.shape)}, x ${showShape(x.shape)}, A ${showShape(a.shape)}, B ${showShape(b.shape)}`,
        "A is [rank, in], B is [out, rank]",
      );
    const xa = { dtype: x.dtype, shape: [sizeOf(x.shape.slice(0, -1)), dim(a, 0)] };
    return { out: { y: base }, saved: { xa } };
  },
  forward(p, { in: { base, x, a, b, step }, attrs }) {
    const wide = wideOf(x.dtype);
    const xa = p.matmul(p.rows(drop(p, p.cast(x, wide), step, attrs)), p.cast(a, wide), { tb: true });
    const delta = p.mul(p.matmul(xa, p.cast(b, wide), { tb: true }), attrs.scale);
    return {
      out: { y: p.cast(p.add(p.cast(base, wide), p.reshape(delta, base.shape)), base.dtype) },
      saved: { xa: p.cast(xa, x.dtype) },
    };
  },
  vjp(p, { kept: { x, a, b, step }, saved: { xa }, grad: { y }, attrs, wants, spec }) {
    const wide = wideOf(xa.dtype);
    const g = p.mul(p.rows(p.cast(y, wide)), attrs.scale);
    const t = p.matmul(g, p.cast(b, wide));
    const dx = (): View => drop(p, p.reshape(p.matmul(t, p.cast(a, wide)), spec.x.shape), step, attrs);
    return {
      ...(wants.base && { base: y }),
      ...(wants.x && { x: p.cast(dx(), spec.x.dtype) }),
      ...(x && { a: p.cast(p.matmul(t, p.rows(drop(p, p.cast(x, wide), step, attrs)), { ta: true }), a.dtype) }),
      ...(wants.b && { b: p.cast(p.matmul(g, p.cast(xa, wide), { ta: true }), b.dtype) }),
    };
  },
});

/**
 * The adapter's half of a LoRA layer (Hu et al. 2021) over what any Linear gave for x. Consumes `base`, since a
 * GEMM-accumulate wants its buffer. x [..., in], base [..., out], A [rank, in], B [out, rank]; adapters may be wider than x.
 */
export function loraLinear<
  D extends FloatDType,
  E extends FloatDType,
  B extends Axes,
  I extends string,
  O extends string,
  R extends string,
>(
  base: Tensor<D, readonly [...B, O]>,
  x: Tensor<NoInfer<D>, readonly [...B, I]>,
  a: Tensor<E, readonly [R, NoInfer<I>]>,
  b: Tensor<NoInfer<E>, readonly [NoInfer<O>, NoInfer<R>]>,
  step: Tensor<"i32", readonly []>,
  attrs: LoraAttrs,
): Tensor<D, readonly [...B, O]> {
  const { y } = run(loraLinearOp, { in: { base, x, a, b, step }, attrs, axes: { y: base.axes }, donate: true });
  base.dispose();
  return y;
}
