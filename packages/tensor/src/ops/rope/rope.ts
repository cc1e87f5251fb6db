import type { View } from "../../backend.ts";
import { dim, type FloatDType, sameShape, showShape, type WideDType, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of rope, as kernels and references see them. */
export type Rope = {
  in: { x: View; positions: View; inverseFrequencies: View };
  out: { y: View };
  attrs: {};
  keeps: { positions: View; inverseFrequencies: View };
  saved: {};
};

/** Rotates (x_i, x_{i+d/2}) by position·frequency_i; sign −1 undoes it, which is the backward. */
function rotate(p: P, x: View, positions: View, inverseFrequencies: View, sign: 1 | -1): View {
  const wide = wideOf(x.dtype);
  const half = dim(x, -1) / 2;
  const at = p.reshape(p.cast(positions, wide), [...positions.shape, 1, 1]);
  const angle = p.mul(at, p.cast(inverseFrequencies, wide));
  const cos = p.unary("cos", angle);
  const sin = p.mul(p.unary("sin", angle), sign);
  const xw = p.cast(x, wide);
  const a = p.slice(xw, -1, 0, half);
  const b = p.slice(xw, -1, half, 2 * half);
  const turned = p.concat([p.sub(p.mul(a, cos), p.mul(b, sin)), p.add(p.mul(b, cos), p.mul(a, sin))], -1);
  return p.cast(turned, x.dtype);
}

/** The op behind rope(): its shapes, its reference and its gradient. */
export const ropeOp: Op<Rope> = defineOp<Rope>({
  name: "rope",
  keeps: () => ({ positions: true, inverseFrequencies: true }),
  infer({ in: { x, positions, inverseFrequencies } }) {
    if (
      x.shape.length !== 4 ||
      !sameShape(x.shape.slice(0, 2), positions.shape) ||
      !sameShape(inverseFrequencies.shape, [dim(x, -1) / 2])
    )
      throw new FtError(
        "shape",
        `[rope] x ${showShape(x.shape)}, positions ${showShape(positions.shape)}, frequencies ${showShape(inverseFrequencies.shape)}`,
        "x is [batch, seq, heads, headDim], positions [batch, seq], frequencies [headDim / 2]",
      );
    return { out: { y: x }, saved: {} };
  },
  forward: (p, { in: { x, positions, inverseFrequencies } }) => ({
    out: { y: rotate(p, x, positions, inverseFrequencies, 1) },
    saved: {},
  }),
  vjp: (p, { kept: { positions, inverseFrequencies }, grad: { y } }) => ({
    x: rotate(p, y, positions, inverseFrequencies, -1),
  }),
});

/**
 * Rotary position embedding (Su et al. 2021), halves rotated as in Hugging Face's Llama.
 * x [batch, seq, heads, headDim], positions [batch, seq] in tokens, inverseFrequencies [headDim / 2] in radians per token;
 * scaling schemes live in the frequencies.
 */
export function rope<D extends FloatDType, B extends string, S extends string, H extends string, E extends string>(
  x: Tensor<D, readonly [B, S, H, E]>,
  positions: Tensor<"i32", readonly [NoInfer<B>, NoInfer<S>]>,
  inverseFrequencies: Tensor<WideDType, readonly [string]>,
): Tensor<D, readonly [B, S, H, E]> {
  return run(ropeOp, { in: { x, positions, inverseFrequencies }, attrs: {}, axes: { y: x.axes } }).y;
}
