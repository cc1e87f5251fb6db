import { defineKernel, dim, FtError, type Kernel } from "@ft/tensor";
import {
  type Attention,
  attentionOp,
  type CachedAttention,
  cachedAttentionOp,
  type UpdateCache,
  updateCacheOp,
} from "@ft/tensor/ops";
import { allF32, type CpuContext, f32, i32 } from "../context.ts";

export const attentionKernel: Kernel<Attention, CpuContext> = defineKernel(attentionOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { q, k, v, segments }, attrs: { scale }, out: { y }, saved: { lse } }) {
    const [b = 0, s = 0, h = 0, d = 0] = q.shape;
    native.attention_fwd(f32(q), f32(k), f32(v), i32(segments), b, s, h, dim(k, 2), d, scale, f32(y), f32(lse));
  },
  vjp({ native }, { kept: { q, k, v, segments, y }, saved: { lse }, attrs: { scale }, grad, into }) {
    const [b = 0, s = 0, h = 0, d = 0] = q.shape;
    const [floats, ids] = [[f32(q), f32(k), f32(v)] as const, i32(segments)];
    // all three at once; the tape drops those that nothing asked for
    const made = { q: into("q"), k: into("k"), v: into("v") };
    const [dq, dk, dv] = [f32(made.q), f32(made.k), f32(made.v)];
    const sizes = [b, s, h, dim(k, 2), d, scale] as const;
    native.attention_bwd(...floats, ids, f32(y), f32(lse), f32(grad.y), ...sizes, dq, dk, dv);
    return made;
  },
});

export const cachedAttentionKernel: Kernel<CachedAttention, CpuContext> = defineKernel(cachedAttentionOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { q, k, v, start }, attrs: { scale }, out: { y } }) {
    const [b = 0, s = 0, h = 0, d = 0] = q.shape;
    checkPlaces("cachedAttention", i32(start), s, dim(k, 1));
    native.attention_cached(f32(q), f32(k), f32(v), i32(start), b, s, dim(k, 1), h, dim(k, 2), d, scale, f32(y));
  },
});

/** Two copies, or one when the cache is donated; needs no native code. */
export const updateCacheKernel: Kernel<UpdateCache, CpuContext> = defineKernel(updateCacheOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward(_, { in: { cache, rows, start }, out: { y } }) {
    const [target, from, places] = [f32(y), f32(rows), i32(start)];
    checkPlaces("updateCache", places, dim(rows, 1), dim(cache, 1));
    if (y.storage !== cache.storage) target.set(f32(cache));
    const width = target.length / (dim(cache, 0) * dim(cache, 1));
    const span = dim(rows, 1) * width;
    for (const [b, place] of places.entries())
      target.set(from.subarray(b * span, (b + 1) * span), (b * dim(cache, 1) + place) * width);
  },
});

/** What shapes do not show: new tokens must end inside the cache, or C would read what lies behind it. */
function checkPlaces(op: string, starts: Int32Array, count: number, capacity: number): void {
  for (const start of starts)
    if (start < 0 || start + count > capacity)
      throw new FtError(
        "input",
        `[${op}] ${count} tokens from place ${start} on, in a cache of ${capacity}`,
        "make the cache larger or shorten the prompt",
      );
}
