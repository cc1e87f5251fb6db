import { defineKernel, type FloatDType, type Kernel, sizeOf } from "@ft/tensor";
import {
  type Dequantize4bit,
  type Dequantize8bit,
  dequantize4bitOp,
  dequantize8bitOp,
  type Format4bit,
  nestedBlockSize,
  type Packed4bit,
} from "@ft/tensor/ops";
import { type Address, at, type CudaContext, type CudaView } from "../context.ts";
import { threeFloats } from "./alignment.ts";
import { tables4bit, tables8bit } from "./code-tables.ts";

/** codes of 4 bits that a block of threads unpacks */
const span = 256 * 4 * 8;

/** Decodes n 4-bit codes into a buffer of `dtype`. absmax is f32, or u8 with nestedAbsmax and offset. */
export function unpack4bit(
  context: CudaContext,
  packed: Packed4bit<CudaView>,
  { type, blockSize }: Format4bit,
  to: { readonly at: Address; readonly dtype: FloatDType; readonly n: number },
): void {
  const aligned = at(packed.codes) % 4n === 0n && to.at % 16n === 0n ? 1 : 0;
  const { values } = tables4bit(context, type);
  const args = [packed.codes, ...scaleArguments(context, packed), values, to.at, to.n, Math.log2(blockSize), aligned];
  context.launch(`dequantize_4bit_${to.dtype}`, Math.ceil(to.n / span), 256, args);
}

/** What Scales of dequantize.cu are made of. */
export function scaleArguments(
  context: CudaContext,
  { absmax, nestedAbsmax, offset }: Packed4bit<CudaView>,
): readonly (CudaView | Address | number | undefined)[] {
  const shift = Math.log2(nestedBlockSize);
  if (nestedAbsmax === undefined) return [absmax, undefined, undefined, undefined, undefined, shift];
  return [undefined, absmax, tables8bit(context, "dynamic").map, nestedAbsmax, offset, shift];
}

export const dequantize4bitKernel: Kernel<Dequantize4bit, CudaContext> = defineKernel(dequantize4bitOp, {
  accepts: ({ in: { absmax }, attrs: { dtype } }) => absmax.dtype === "f32" && threeFloats.has(dtype),
  forward(context, { in: { codes, absmax }, attrs, out: { y } }) {
    unpack4bit(context, { codes, absmax }, attrs, { at: at(y), dtype: attrs.dtype, n: sizeOf(y.shape) });
  },
});

export const dequantize8bitKernel: Kernel<Dequantize8bit, CudaContext> = defineKernel(dequantize8bitOp, {
  accepts: ({ in: { absmax, offset } }) => absmax.dtype === "f32" && (offset === undefined || offset.dtype === "f32"),
  forward(context, { in: { codes, absmax, offset }, attrs: { map, blockSize }, out: { y } }) {
    const n = sizeOf(codes.shape);
    if (n === 0) return;
    const aligned = at(codes) % 4n === 0n && at(y) % 16n === 0n ? 1 : 0;
    const grid = Math.min(Math.ceil(n / 1024), 16 * context.card.multiprocessors);
    const args = [codes, tables8bit(context, map).map, absmax, offset, y, n, Math.log2(blockSize), aligned];
    context.launch("dequantize_8bit", grid, 256, args);
  },
});
