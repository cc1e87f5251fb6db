import type { View } from "../../backend.ts";
import { dim, type FloatDType, showShape, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of rmsNorm, as kernels and references see them. */
export type RmsNorm = {
  in: { x: View; weight: View };
  out: { y: View };
  attrs: { eps: number };
  keeps: { x: View; weight: View };
  saved: { rstd: View };
};

/** y = w·x·r with r = 1/√(mean x² + eps).  dX = r·(g·w) − x·r³/h · Σ g·w·x;  dW = Σ g·x·r */
export const rmsNormOp: Op<RmsNorm> = defineOp<RmsNorm>({
  name: "rmsNorm",
  keeps: () => ({ x: true, weight: true }),
  remake: true,
  infer({ in: { x, weight } }) {
    if (weight.shape.length !== 1 || dim(weight, 0) !== dim(x, -1))
      throw new FtError(
        "shape",
        `[rmsNorm] ${showShape(x.shape)} with weight ${showShape(weight.shape)}`,
        "the weight has the size of the last axis",
      );
    return { out: { y: x }, saved: { rstd: { dtype: wideOf(x.dtype), shape: [...x.shape.slice(0, -1), 1] } } };
  },
  forward(p, { in: { x, weight }, attrs: { eps } }) {
    const wide = wideOf(x.dtype);
    const xw = p.cast(x, wide);
    const mean = p.div(p.sum(p.mul(xw, xw), -1), dim(x, -1));
    const rstd = p.div(p.fill(mean, 1), p.sqrt(p.add(mean, eps)));
    return { out: { y: p.cast(p.mul(p.mul(xw, rstd), p.cast(weight, wide)), x.dtype) }, saved: { rstd } };
  },
  vjp(p, { kept: { x, weight }, saved: { rstd }, grad: { y }, wants, spec }) {
    const wide = rstd.dtype;
    const g = p.cast(y, wide);
    const normed = p.mul(p.cast(x, wide), rstd);
    const gw = p.mul(g, p.cast(weight, wide));
    const dot = p.div(p.sum(p.mul(gw, normed), -1), dim(x, -1));
    return {
      ...(wants.x && { x: p.cast(p.mul(rstd, p.sub(gw, p.mul(normed, dot))), x.dtype) }),
      ...(wants.weight && { weight: p.cast(p.unbroadcast(p.mul(g, normed), spec.weight.shape), weight.dtype) }),
    };
  },
});

/** Root-mean-square norm over the last axis (Zhang and Sennrich 2019). */
export function rmsNorm<D extends FloatDType, W extends FloatDType, B extends Axes, H extends string>(
  x: Tensor<D, readonly [...B, H]>,
  weight: Tensor<W, readonly [NoInfer<H>]>,
  eps: number,
): Tensor<D, readonly [...B, H]> {
  return run(rmsNormOp, { in: { x, weight }, attrs: { eps }, axes: { y: x.axes } }).y;
}
