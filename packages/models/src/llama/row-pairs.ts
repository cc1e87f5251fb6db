import type { DataOf, FloatDType } from "@ft/tensor";
import type { LlamaConfig } from "../config/llama-config.ts";

/** How many heads' rows llama.cpp reorders in a weight, by its Hugging Face name; undefined for all but q and k. */
export function pairedHeads(name: string, { heads, kvHeads }: LlamaConfig): number | undefined {
  return name.includes(".q_proj.") ? heads : name.includes(".k_proj.") ? kvHeads : undefined;
}

/**
 * The order in which llama.cpp stores the rows of q and k, in place: within each head row i of the first half becomes row 2i, row i of
 * the second half row 2i+1. `data` is [heads · headDim, width] row-major, width 1 for a bias.
 */
export function permuteRows<T extends DataOf[FloatDType]>(data: T, heads: number, headDim: number): T {
  return reorder(data, heads, headDim, (i) => (i % 2) * (headDim / 2) + Math.floor(i / 2));
}

/** Undoes `permuteRows`, likewise in place. */
export function unpermuteRows<T extends DataOf[FloatDType]>(data: T, heads: number, headDim: number): T {
  return reorder(data, heads, headDim, (i) => 2 * (i % (headDim / 2)) + Math.floor(i / (headDim / 2)));
}

/** Row i of each head comes from its row `from(i)`. */
function reorder<T extends DataOf[FloatDType]>(
  data: T,
  heads: number,
  headDim: number,
  from: (row: number) => number,
): T {
  const width = data.length / (heads * headDim);
  for (let head = 0; head < heads; head++) {
    const first = head * headDim * width;
    const before = data.slice(first, first + headDim * width);
    for (let i = 0; i < headDim; i++)
      data.set(before.subarray(from(i) * width, (from(i) + 1) * width), first + i * width);
  }
  return data;
}
