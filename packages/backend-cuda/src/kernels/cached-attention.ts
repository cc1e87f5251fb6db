import { bytesOf, defineKernel, dim, type InferAt, type Kernel } from "@ft/tensor";
import { type CachedAttention, cachedAttentionOp, type UpdateCache, updateCacheOp } from "@ft/tensor/ops";
import { at, type CudaContext, type CudaView } from "../context.ts";
import { aligned } from "./alignment.ts";
import { acceptsHeads } from "./attention.ts";
import {
  coreMemory,
  coreThreads,
  forwardRows,
  onCores,
  tile,
  tilesFor,
  tileThreads,
  widthFor,
} from "./own-attention.ts";

/** So many new tokens at once make a prompt: tiles of queries. Fewer read the cache in parts. */
const prompt = 16;
/** The least keys to a part. */
const least = 64;
/** The most parts that cached-attention.cu joins. */
const most = 1024;

/**
 * The parts into which a cache is cut: as many as let all blocks run at once, two to a multiprocessor. They depend on the
 * capacity and not on what is filled, so that a recorded step serves a whole generation; blocks beyond leave at once.
 */
export function partsOf(capacity: number, blocks: number, multiprocessors: number): { splits: number; chunk: number } {
  const wanted = Math.min(Math.max(Math.floor((2 * multiprocessors) / Math.max(blocks, 1)), 1), most);
  const chunk = Math.max(least, Math.ceil(capacity / wanted / least) * least);
  return { splits: Math.ceil(capacity / chunk), chunk };
}

export const cachedAttentionKernel: Kernel<CachedAttention, CudaContext> = defineKernel(cachedAttentionOp, {
  accepts: ({ in: { q } }: InferAt<CachedAttention>) => acceptsHeads(q),
  forward(context, { in: { q, k, v, start }, attrs: { scale }, out: { y } }) {
    const [b = 0, s = 0, h = 0, d = 0] = q.shape;
    const [t, hk] = [dim(k, 1), dim(k, 2)];
    const packed = d % 8 === 0 && aligned(q, k, v) === 1;
    if (s >= prompt || !packed) {
      const args = [q, k, v, start, s, t, h, hk, d, scale, y];
      const grid = [Math.ceil(s / tile), h, b] as const;
      if (onCores(q, [q, k, v, y]))
        context.launch(
          `cached_attention_cores_${q.dtype}_${widthFor(d)}`,
          grid,
          coreThreads,
          args,
          coreMemory(d, forwardRows),
        );
      else context.launch(`cached_attention_prompt_${tilesFor(q)}`, grid, tileThreads, args);
      return;
    }
    const rows = (h / hk) * s;
    const together = rows === 1 ? 1 : 4;
    const blocks = hk * Math.ceil(rows / together);
    const { splits, chunk } = partsOf(t, blocks * b, context.card.multiprocessors);
    const name = `cached_attention_part_${q.dtype}_${widthFor(d) / 8}_${together}`;
    const part = (parts: bigint | undefined, weights: bigint | undefined): void =>
      context.launch(name, [splits, blocks, b], 128, [q, k, v, start, s, t, h, hk, d, scale, chunk, y, parts, weights]);
    if (splits === 1) {
      part(undefined, undefined);
      return;
    }
    const lines = b * s * h * splits;
    context.scratch(lines * (d + 2) * 4, (parts) => {
      const weights = parts + BigInt(lines * d * 4);
      part(parts, weights);
      const args = [parts, weights, start, s, t, h, d, chunk, splits, y];
      context.launch(`cached_attention_join_${q.dtype}`, b * s * h, d <= 64 ? 64 : 128, args);
    });
  },
});

/** Writes the new rows into the cache, which is copied first unless it was donated. */
export const updateCacheKernel: Kernel<UpdateCache, CudaContext> = defineKernel(updateCacheOp, {
  forward(context, { in: { cache, rows, start }, out: { y } }) {
    const bytes = bytesOf(cache);
    if (y.storage !== cache.storage) context.copy(at(y), at(cache), bytes);
    const [batch, capacity, count] = [dim(cache, 0), dim(cache, 1), dim(rows, 1)];
    if (batch * count === 0) return;
    const rowBytes = bytes / (batch * capacity);
    const word = wordOf(rowBytes, [y, rows]);
    const width = rowBytes / word;
    const total = batch * count * width;
    const args = [rows, start, total, count * width, capacity, width, y];
    context.launch(`update_cache_${word}`, Math.min(Math.ceil(total / 256), 1024), 256, args);
  },
});

/** The widest access that fits the rows and where they begin. */
function wordOf(rowBytes: number, views: readonly CudaView[]): number {
  const fits = (bytes: number): boolean =>
    rowBytes % bytes === 0 && views.every((view) => at(view) % BigInt(bytes) === 0n);
  return [16, 4].find(fits) ?? 2;
}
