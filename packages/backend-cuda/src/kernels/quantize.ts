import { defineKernel, type Kernel, sizeOf } from "@ft/tensor";
import { type Quantize4bit, type Quantize8bit, quantize4bitOp, quantize8bitOp } from "@ft/tensor/ops";
import type { CudaContext } from "../context.ts";
import { threeFloats } from "./alignment.ts";
import { tables4bit, tables8bit } from "./code-tables.ts";

export const quantize4bitKernel: Kernel<Quantize4bit, CudaContext> = defineKernel(quantize4bitOp, {
  accepts: ({ in: { x } }) => threeFloats.has(x.dtype),
  forward(context, { in: { x }, attrs: { type, blockSize }, out: { codes, absmax } }) {
    const n = sizeOf(x.shape);
    const { bounds } = tables4bit(context, type);
    const args = [x, bounds, codes, absmax, n, blockSize, type === "fp4" ? 1 : 0];
    context.launch(`quantize_4bit_${x.dtype}`, Math.ceil(Math.ceil(n / blockSize) / 8), 256, args);
  },
});

export const quantize8bitKernel: Kernel<Quantize8bit, CudaContext> = defineKernel(quantize8bitOp, {
  accepts: ({ in: { x } }) => threeFloats.has(x.dtype),
  forward(context, { in: { x }, attrs: { map, blockSize, sameSign }, out: { codes, absmax } }) {
    const n = sizeOf(x.shape);
    const { bounds, keys } = tables8bit(context, map);
    // blocks of threads stay, since each reads the tables first
    const grid = Math.min(Math.ceil(Math.ceil(n / blockSize) / 8), 8 * context.card.multiprocessors);
    const args = [x, bounds, keys, codes, absmax, n, blockSize, sameSign ? 1 : 0];
    context.launch(`quantize_8bit_${x.dtype}`, grid, 256, args);
  },
});
