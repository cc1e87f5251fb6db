import type { View } from "../../backend.ts";
import { type FloatDType, sameShape, showShape, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Tensor } from "../../tensor.ts";
import { attentionSizes, grouped, ungrouped } from "../attention/grouped.ts";

/** Inputs, outputs and attributes of cachedAttention, as kernels and references see them. */
export type CachedAttention = {
  in: { q: View; k: View; v: View; start: View };
  out: { y: View };
  attrs: { scale: number };
  keeps: {};
  saved: {};
};

/** The op behind cachedAttention(): its shapes, its reference and its gradient. */
export const cachedAttentionOp: Op<CachedAttention> = defineOp<CachedAttention>({
  name: "cachedAttention",
  keeps: () => ({}),
  infer({ in: { q, k, v, start } }) {
    const { b } = attentionSizes("cachedAttention", q, k, v);
    if (!sameShape(start.shape, [b]))
      throw new FtError(
        "shape",
        `[cachedAttention] start ${showShape(start.shape)}`,
        "start is [batch]: how many tokens each row had before",
      );
    return { out: { y: q }, saved: {} };
  },
  forward(p, { in: { q, k, v, start }, attrs: { scale } }) {
    const n = attentionSizes("cachedAttention", q, k, v);
    const wide = (x: View): View => p.cast(grouped(p, x, n), wideOf(q.dtype));
    const all = p.reshape(p.mul(p.matmul(wide(q), wide(k), { tb: true }), scale), [n.b, n.hk, n.g, n.s, n.t]);
    const row = p.add(p.reshape(start, [n.b, 1, 1, 1, 1]), p.reshape(p.iota(n.s), [n.s, 1]));
    const seen = p.compare("le", p.reshape(p.iota(n.t), [1, n.t]), row);
    const s = p.where(seen, all, p.fill({ dtype: all.dtype, shape: [] }, -Infinity));
    const e = p.exp(p.sub(s, p.max(s, -1)));
    const probs = p.reshape(p.div(e, p.sum(e, -1)), [n.b * n.hk, n.g * n.s, n.t]);
    return { out: { y: p.cast(ungrouped(p, p.matmul(probs, wide(v)), n, n.s), q.dtype) }, saved: {} };
  },
});

/**
 * Attention of new tokens over a key/value cache, for generation: query i of row b is token start[b] + i and sees cache
 * places up to its own. q [batch, seq, heads, headDim]; k, v [batch, capacity, kvHeads, headDim]; start [batch]. No gradient.
 */
export function cachedAttention<
  D extends FloatDType,
  B extends string,
  S extends string,
  C extends string,
  H extends string,
  G extends string,
  E extends string,
>(
  q: Tensor<D, readonly [B, S, H, E]>,
  k: Tensor<NoInfer<D>, readonly [NoInfer<B>, C, G, NoInfer<E>]>,
  v: Tensor<NoInfer<D>, readonly [NoInfer<B>, NoInfer<C>, NoInfer<G>, NoInfer<E>]>,
  start: Tensor<"i32", readonly [NoInfer<B>]>,
  attrs: { readonly scale: number },
): Tensor<D, readonly [B, S, H, E]> {
  return run(cachedAttentionOp, { in: { q, k, v, start }, attrs, axes: { y: q.axes } }).y;
}
