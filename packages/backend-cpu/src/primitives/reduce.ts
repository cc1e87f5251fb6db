import { dim, type PrimitiveKernels, sizeOf } from "@ft/tensor";
import type { CpuBuffer } from "../buffer.ts";
import { broadcastStrides, eachRun } from "./runs.ts";
import { narrow, wide, wideOut } from "./wide.ts";

type Reductions = Pick<PrimitiveKernels<CpuBuffer>, "reduce" | "scatterAdd" | "argmax" | "searchSorted">;

/** Kernels that read many elements for one. Sums run in f64. */
export const reductions: Reductions = {
  reduce: ({ x }, { kind }, out) => {
    const from = wide(x);
    const sums = new Float64Array(sizeOf(out.shape)).fill(kind === "sum" ? 0 : Number.NEGATIVE_INFINITY);
    eachRun(x.shape, [broadcastStrides(out.shape, x.shape)], [0], (start, n, at, step) => {
      const end = start + n;
      let o = at[0]!;
      if (step[0] === 0) {
        let value = sums[o]!;
        if (kind === "sum") for (let i = start; i < end; i++) value += from[i]!;
        else for (let i = start; i < end; i++) value = Math.max(value, from[i]!);
        sums[o] = value;
      } else if (kind === "sum") for (let i = start; i < end; i++, o++) sums[o]! += from[i]!;
      else for (let i = start; i < end; i++, o++) sums[o] = Math.max(sums[o]!, from[i]!);
    });
    const y = wideOut(out);
    y.set(sums);
    narrow(y, out);
  },
  scatterAdd: ({ rows, index }, _attrs, out) => {
    const y = wideOut(out).fill(0);
    const from = wide(rows);
    const at = index.storage.buffer;
    const width = sizeOf(out.shape.slice(1));
    for (let i = 0; i < at.length; i++) {
      const row = at[i]!;
      if (row < 0) continue;
      for (let j = 0, o = row * width, r = i * width; j < width; j++, o++, r++) y[o]! += from[r]!;
    }
    narrow(y, out);
  },
  argmax: ({ x }, _attrs, out) => {
    const from = wide(x);
    const y = out.storage.buffer;
    const n = dim(x, -1);
    for (let row = 0; row < y.length; row++) {
      const start = row * n;
      let best = start;
      for (let i = start + 1; i < start + n; i++) if (from[i]! > from[best]!) best = i;
      y[row] = best - start;
    }
  },
  searchSorted: ({ x, bounds }, _attrs, out) => {
    const from = wide(x);
    const sorted = wide(bounds);
    const y = out.storage.buffer;
    for (let i = 0; i < y.length; i++) {
      const value = from[i]!;
      let low = 0;
      let high = sorted.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (sorted[middle]! < value) low = middle + 1;
        else high = middle;
      }
      y[i] = low;
    }
  },
};
