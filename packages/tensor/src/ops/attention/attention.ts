import type { View } from "../../backend.ts";
import { type FloatDType, sameShape, showShape, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Tensor } from "../../tensor.ts";
import { type AttentionSizes, attentionSizes, grouped, ungrouped } from "./grouped.ts";

/** Inputs, outputs and attributes of attention, as kernels and references see them. */
export type Attention = {
  in: { q: View; k: View; v: View; segments: View };
  out: { y: View };
  attrs: { scale: number };
  keeps: { q: View; k: View; v: View; segments: View; y: View };
  saved: { lse: View };
};

/** scale·Q·Kᵀ as [b, hk, g, s, s], −∞ where a token may not look. */
function scores(p: P, q: View, k: View, segments: View, scale: number, { b, hk, g, s }: AttentionSizes): View {
  const all = p.reshape(p.mul(p.matmul(q, k, { tb: true }), scale), [b, hk, g, s, s]);
  const row = p.reshape(p.iota(s), [s, 1]);
  const column = p.reshape(p.iota(s), [1, s]);
  const none = p.fill({ dtype: all.dtype, shape: [] }, -Infinity);
  const together = p.compare("eq", p.reshape(segments, [b, 1, 1, s, 1]), p.reshape(segments, [b, 1, 1, 1, s]));
  return p.where(together, p.where(p.compare("le", column, row), all, none), none);
}

/**
 * Keeps the row-wise log-sum-exp instead of the probabilities (Dao et al. 2022). With P = exp(S − lse):
 * dV = Pᵀ·g;  dS = P∘(g·Vᵀ − Σ g∘y)·scale;  dQ = dS·K;  dK = dSᵀ·Q
 */
export const attentionOp: Op<Attention> = defineOp<Attention>({
  name: "attention",
  keeps: () => ({ q: true, k: true, v: true, segments: true, y: true }),
  infer({ in: { q, k, v, segments } }) {
    const { b, s, t, h } = attentionSizes("attention", q, k, v);
    if (s !== t || !sameShape(segments.shape, [b, s]))
      throw new FtError(
        "shape",
        `[attention] q ${showShape(q.shape)}, k ${showShape(k.shape)}, segments ${showShape(segments.shape)}`,
        "queries, keys and segments share [batch, seq]",
      );
    return { out: { y: q }, saved: { lse: { dtype: wideOf(q.dtype), shape: [b, h, s] } } };
  },
  forward(p, { in: { q, k, v, segments }, attrs: { scale } }) {
    const n = attentionSizes("attention", q, k, v);
    const wide = (x: View): View => p.cast(grouped(p, x, n), wideOf(q.dtype));
    const s = scores(p, wide(q), wide(k), segments, scale, n);
    const top = p.max(s, -1);
    const e = p.exp(p.sub(s, top));
    const total = p.sum(e, -1);
    const probs = p.reshape(p.div(e, total), [n.b * n.hk, n.g * n.s, n.s]);
    const y = p.cast(ungrouped(p, p.matmul(probs, wide(v)), n, n.s), q.dtype);
    return { out: { y }, saved: { lse: p.reshape(p.add(top, p.log(total)), [n.b, n.h, n.s]) } };
  },
  vjp(p, { kept, saved: { lse }, attrs: { scale }, grad, wants }) {
    const n = attentionSizes("attention", kept.q, kept.k, kept.v);
    const wide = (x: View): View => p.cast(grouped(p, x, n), lse.dtype);
    const narrow = (x: View): View => p.cast(ungrouped(p, x, n, n.s), kept.q.dtype);
    const [q, k, v, y, g] = [wide(kept.q), wide(kept.k), wide(kept.v), wide(kept.y), wide(grad.y)];
    const s = scores(p, q, k, kept.segments, scale, n);
    const flat = [n.b * n.hk, n.g * n.s, n.s];
    const probs = p.reshape(p.exp(p.sub(s, p.reshape(lse, [n.b, n.hk, n.g, n.s, 1]))), flat);
    const ds = p.mul(p.mul(probs, p.sub(p.matmul(g, v, { tb: true }), p.sum(p.mul(g, y), -1))), scale);
    return {
      ...(wants.q && { q: narrow(p.matmul(ds, k)) }),
      ...(wants.k && { k: narrow(p.matmul(ds, q, { ta: true })) }),
      ...(wants.v && { v: narrow(p.matmul(probs, g, { ta: true })) }),
    };
  },
});

/**
 * Causal grouped-query attention within segments: a token sees itself and earlier tokens of its own segment.
 * q [batch, seq, heads, headDim]; k, v [batch, seq, kvHeads, headDim]; segments [batch, seq], any ids.
 */
export function attention<
  D extends FloatDType,
  B extends string,
  S extends string,
  H extends string,
  G extends string,
  E extends string,
>(
  q: Tensor<D, readonly [B, S, H, E]>,
  k: Tensor<NoInfer<D>, readonly [NoInfer<B>, NoInfer<S>, G, NoInfer<E>]>,
  v: Tensor<NoInfer<D>, readonly [NoInfer<B>, NoInfer<S>, NoInfer<G>, NoInfer<E>]>,
  segments: Tensor<"i32", readonly [NoInfer<B>, NoInfer<S>]>,
  attrs: { readonly scale: number },
): Tensor<D, readonly [B, S, H, E]> {
  return run(attentionOp, { in: { q, k, v, segments }, attrs, axes: { y: q.axes } }).y;
}
