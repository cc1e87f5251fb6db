import { dim } from "@ft/tensor";
import type { Address, CudaContext, CudaView } from "../context.ts";
import type { AttentionInputs } from "../cudnn/attention.ts";
import { aligned, padded } from "./alignment.ts";

/** Queries and keys to a tile of attention-tiles.cuh and attention-cores.cu, and threads to their blocks. */
export const tile = 64;
export const tileThreads = 256;
export const coreThreads = 128;

/** The kernels for the head size: 64, 128 or 256. */
export const widthFor = (headDim: number): number => (headDim <= 64 ? 64 : headDim <= 128 ? 128 : 256);

/** The kernels of attention-tiles.cuh for a dtype and head size: of the 16-bit floats there is the widest only. */
export function tilesFor({ dtype, shape: [, , , headDim = 0] }: CudaView): string {
  return `${dtype}_${dtype === "f32" ? widthFor(headDim) : 256}`;
}

/** Whether tensor cores serve: 16-bit floats, heads of up to 128 in packs of eight. */
export function onCores(q: CudaView, views: readonly CudaView[]): boolean {
  const headDim = dim(q, 3);
  return q.dtype !== "f32" && headDim % 8 === 0 && headDim <= 128 && aligned(...views) === 1;
}

/** Bytes of shared memory for so many rows of a tile on tensor cores. */
export const coreMemory = (headDim: number, rows: number): number => rows * (widthFor(headDim) + 8) * 2;
/** A tile of queries, and two stages of a tile of keys and one of values. */
export const forwardRows: number = 4 * tile;
/** Two whole tiles, and two stages of two tiles of half as many rows. */
const backwardRows = 4 * tile;
/** lse and delta of 32 queries, in two stages */
const numbers = 2 * 2 * 32 * 4;

/** y and lse by the kernels of this package. */
export function ownForward(context: CudaContext, inputs: AttentionInputs, y: CudaView, lse: CudaView): void {
  const { q, k, v, segments, scale } = inputs;
  const [b = 0, s = 0, h = 0, d = 0] = q.shape;
  const hk = dim(k, 2);
  const tiles = Math.ceil(s / tile);
  const [grid, name] = [[tiles, h, b] as const, `${q.dtype}_${widthFor(d)}`];
  if (!onCores(q, [q, k, v, y])) {
    const args = [q, k, v, segments, s, h, hk, d, scale, y, lse];
    context.launch(`attention_forward_${tilesFor(q)}`, grid, tileThreads, args);
    return;
  }
  context.scratch(rangeBytes(b, tiles), (ranges) => {
    context.launch("attention_ranges", [tiles, b], 32, [segments, s, tiles, ranges]);
    const args = [q, k, v, segments, ranges, s, h, hk, d, scale, y, lse];
    context.launch(`attention_cores_forward_${name}`, grid, coreThreads, args, coreMemory(d, forwardRows));
  });
}

/** dq, dk and dv by the kernels of this package; the same bits in every run. */
export function ownBackward(
  context: CudaContext,
  { q, k, v, segments, scale }: AttentionInputs,
  { y, lse, g }: { readonly y: CudaView; readonly lse: CudaView; readonly g: CudaView },
  to: { readonly q: CudaView; readonly k: CudaView; readonly v: CudaView },
): void {
  const [b = 0, s = 0, h = 0, d = 0] = q.shape;
  const hk = dim(k, 2);
  const rows = b * s * h;
  const [tiles, name] = [Math.ceil(s / tile), `${q.dtype}_${widthFor(d)}`];
  const deltaBytes = padded(rows * 4);
  const cores = onCores(q, [q, k, v, g, to.q, to.k, to.v]);
  context.scratch(Math.max(deltaBytes, 256) + rangeBytes(b, tiles), (delta) => {
    context.launch(`attention_delta_${q.dtype}`, Math.ceil(rows / 8), 256, [g, y, rows, s, h, d, delta]);
    const sizes = [s, h, hk, d, scale];
    if (!cores) {
      const args = [q, k, v, segments, g, lse, delta, ...sizes];
      context.launch(`attention_queries_${tilesFor(q)}`, [tiles, h, b], tileThreads, [...args, to.q]);
      context.launch(`attention_keys_${tilesFor(q)}`, [tiles, hk, b], tileThreads, [...args, to.k, to.v]);
      return;
    }
    const ranges: Address = delta + BigInt(deltaBytes);
    context.launch("attention_ranges", [tiles, b], 32, [segments, s, tiles, ranges]);
    const args = [q, k, v, segments, ranges, g, lse, delta, ...sizes];
    const bytes = coreMemory(d, backwardRows);
    context.launch(`attention_cores_queries_${name}`, [tiles, h, b], coreThreads, [...args, to.q], bytes);
    context.launch(`attention_cores_keys_${name}`, [tiles, hk, b], coreThreads, [...args, to.k, to.v], bytes + numbers);
  });
}

/** The least and largest id of every 64 tokens. */
const rangeBytes = (batch: number, tiles: number): number => Math.max(8 * batch * tiles, 256);
