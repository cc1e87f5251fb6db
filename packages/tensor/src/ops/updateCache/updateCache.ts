import type { View } from "../../backend.ts";
import { dim, type FloatDType, sameShape, showShape, sizeOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of updateCache, as kernels and references see them. */
export type UpdateCache = {
  in: { cache: View; rows: View; start: View };
  out: { y: View };
  attrs: {};
  keeps: {};
  saved: {};
};

/** The op behind updateCache(): its shapes, its reference and its gradient. */
export const updateCacheOp: Op<UpdateCache> = defineOp<UpdateCache>({
  name: "updateCache",
  keeps: () => ({}),
  inPlace: { y: "cache" },
  infer({ in: { cache, rows, start } }) {
    const fits = sameShape([dim(cache, 0), ...cache.shape.slice(2)], [dim(rows, 0), ...rows.shape.slice(2)]);
    if (!fits || dim(rows, 1) > dim(cache, 1) || !sameShape(start.shape, [dim(cache, 0)]))
      throw new FtError(
        "shape",
        `[updateCache] ${showShape(rows.shape)} into ${showShape(cache.shape)} at ${showShape(start.shape)}`,
        "cache [batch, capacity, ...], rows [batch, seq, ...], seq at most capacity, start [batch]",
      );
    return { out: { y: cache }, saved: {} };
  },
  forward(p, { in: { cache, rows, start } }) {
    const b = dim(cache, 0);
    const t = dim(cache, 1);
    const s = dim(rows, 1);
    const width = sizeOf(cache.shape.slice(2));
    const first = p.add(p.mul(p.reshape(p.iota(b), [b, 1]), t), p.reshape(start, [b, 1]));
    const place = p.reshape(p.add(first, p.reshape(p.iota(s), [1, s])), [b * s]);
    const placed = p.scatterAdd(p.reshape(rows, [b * s, width]), place, b * t);
    const written = p.scatterAdd(p.fill({ dtype: rows.dtype, shape: [b * s, 1] }, 1), place, b * t);
    const y = p.where(p.compare("eq", written, 0), p.reshape(cache, [b * t, width]), placed);
    return { out: { y: p.reshape(y, cache.shape) }, saved: {} };
  },
});

/**
 * Writes rows [batch, seq, ...] into cache [batch, capacity, ...] from place start[batch] on. Consumes `cache` and
 * returns the new one. The caller makes sure that start + seq fits. No gradient.
 */
export function updateCache<
  D extends FloatDType,
  B extends string,
  C extends string,
  S extends string,
  G extends string,
  E extends string,
>(
  cache: Tensor<D, readonly [B, C, G, E]>,
  rows: Tensor<NoInfer<D>, readonly [NoInfer<B>, S, NoInfer<G>, NoInfer<E>]>,
  start: Tensor<"i32", readonly [NoInfer<B>]>,
): Tensor<D, readonly [B, C, G, E]> {
  const { y } = run(updateCacheOp, { in: { cache, rows, start }, attrs: {}, axes: { y: cache.axes }, donate: true });
  cache.dispose();
  return y;
}
