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
  vjp(context, { kept, saved: { lse }, attrs: { scale }, grad, wants, into }) {
    const [b = 0, s = 0, h = 0, d = 0] = kept.q.shape;
    const hk = dim(kept.k, 2);
    const [q, k, v] = [f32(kept.q), f32(kept.k), f32(kept.v)];
    const made: Partial<Attention["in"]> = {
      ...(wants.q && { q: into("q") }),
      ...(wants.k && { k: into("k") }),
      ...(wants.v && { v: into("v") }),
    };
    // the kernel makes all three at once; those not wanted go to work arrays
    const spare = (unwanted: boolean, size: number, fn: (work: Float32Array) => void): void =>
      unwanted ? context.scratch(size, fn) : fn(new Float32Array(0));
    spare(!made.q, q.length, (spareQ) =>
      spare(!made.k, k.length, (spareK) =>
        spare(!made.v, v.length, (spareV) => {
          const dq = made.q ? f32(made.q) : spareQ;
          const dk = made.k ? f32(made.k) : spareK;
          const dv = made.v ? f32(made.v) : spareV;
          context.native.attention_bwd(
            q,
            k,
            v,
            i32(kept.segments),
            f32(kept.y),
            f32(lse),
            f32(grad.y),
            b,
            s,
            h,
            hk,
            d,
            scale,
            dq,
            dk,
            dv,
          );
        }),
      ),
    );
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
