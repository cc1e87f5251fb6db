import type { View } from "../../backend.ts";
import { dim, sizeOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import type { P } from "../../prims.ts";
import { reciprocal } from "./reciprocal.ts";

/** x as f32 in rows of one block each, [blocks, blockSize], the last filled up with zeros. */
export function byBlocks(p: P, x: View, blockSize: number): View {
  const n = sizeOf(x.shape);
  const blocks = Math.ceil(n / blockSize);
  const flat = p.cast(p.reshape(x, [n]), "f32");
  const rest = blocks * blockSize - n;
  const whole = rest === 0 ? flat : p.concat([flat, p.fill({ dtype: "f32", shape: [rest] }, 0)], 0);
  return p.reshape(whole, [blocks, blockSize]);
}

/** The first elements of what byBlocks gave, in a shape. */
export function fromBlocks(p: P, blocks: View, shape: readonly number[]): View {
  const n = sizeOf(shape);
  const flat = p.reshape(blocks, [sizeOf(blocks.shape)]);
  return p.reshape(dim(flat, 0) === n ? flat : p.slice(flat, 0, 0, n), shape);
}

/** The smallest normal f32. */
export const smallestNormal: number = 2 ** -126;

/**
 * Each block times the reciprocal of its largest magnitude, as bitsandbytes' CUDA kernels have it. They know no subnormal
 * numbers: smaller x count as 0. A block of zeros gives NaN, which is above no bound.
 */
export function scaleBlocks(p: P, x: View, blockSize: number): { scaled: View; absmax: View } {
  const raw = byBlocks(p, x, blockSize);
  const tiny = p.compare("lt", p.unary("abs", raw), smallestNormal);
  const blocks = p.where(tiny, p.fill(raw, 0), raw);
  const absmax = p.max(p.unary("abs", blocks), -1);
  return { scaled: p.mul(blocks, reciprocal(p, absmax)), absmax: p.reshape(absmax, [dim(blocks, 0)]) };
}

/** Throws unless a block size is a power of two within bounds: kernels shift by it. */
export function checkBlockSize(op: string, blockSize: number, least: number): void {
  const fits = Number.isSafeInteger(blockSize) && blockSize >= least && blockSize <= 4096;
  if (fits && Number.isInteger(Math.log2(blockSize))) return;
  throw new FtError("input", `[${op}] block size ${blockSize}`, `use a power of two from ${least} to 4096`);
}
