import type { DataOf, FloatDType } from "@ft/tensor";

/**
 * Undoes llama.cpp's reordering of the rows of q and k, in place: within each head row 2i came from row i of the first
 * half, row 2i+1 from row i of the second. `data` is [heads · headDim, width] row-major, width 1 for a bias.
 */
export function unpermuteRows<T extends DataOf[FloatDType]>(data: T, heads: number, headDim: number): T {
  const width = data.length / (heads * headDim);
  const half = headDim / 2;
  for (let head = 0; head < heads; head++) {
    const first = head * headDim * width;
    const pairs = data.slice(first, first + headDim * width);
    for (let i = 0; i < half; i++) {
      data.set(pairs.subarray(2 * i * width, (2 * i + 1) * width), first + i * width);
      data.set(pairs.subarray((2 * i + 1) * width, (2 * i + 2) * width), first + (half + i) * width);
    }
  }
  return data;
}
