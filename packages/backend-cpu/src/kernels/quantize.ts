import { defineKernel, FtError, type Kernel, sizeOf } from "@ft/tensor";
import {
  type Dequantize4bit,
  type Dequantize8bit,
  dequantize4bitOp,
  dequantize8bitOp,
  maps8bit,
  type Quantize4bit,
  type Quantize8bit,
  type QuantType4bit,
  quantize4bitOp,
  quantize8bitOp,
} from "@ft/tensor/ops";
import { type CpuContext, f32, isStored, stored, u8 } from "../context.ts";

/** The 4-bit types as C counts them. */
export const kinds4bit: { readonly [T in QuantType4bit]: 4 | 5 } = { nf4: 4, fp4: 5 };

export const quantize4bitKernel: Kernel<Quantize4bit, CpuContext> = defineKernel(quantize4bitOp, {
  accepts: ({ in: { x } }) => isStored(x),
  forward({ native }, { in: { x }, attrs: { type, blockSize }, out: { codes, absmax } }) {
    const n = sizeOf(x.shape);
    check(native.quantize_4bit(...stored(x), n, kinds4bit[type], blockSize, u8(codes), f32(absmax)), blockSize);
  },
});

export const dequantize4bitKernel: Kernel<Dequantize4bit, CpuContext> = defineKernel(dequantize4bitOp, {
  accepts: ({ in: { absmax }, attrs: { dtype } }) => absmax.dtype === "f32" && dtype !== "f64",
  forward({ native }, { in: { codes, absmax }, attrs: { type, blockSize }, out: { y } }) {
    const n = sizeOf(y.shape);
    check(native.dequantize_4bit(u8(codes), kinds4bit[type], f32(absmax), blockSize, n, ...stored(y)), blockSize);
  },
});

export const quantize8bitKernel: Kernel<Quantize8bit, CpuContext> = defineKernel(quantize8bitOp, {
  accepts: ({ in: { x } }) => x.dtype === "f32",
  forward({ native }, { in: { x }, attrs: { map, blockSize, sameSign }, out: { codes, absmax } }) {
    native.quantize_8bit(f32(x), sizeOf(x.shape), maps8bit[map], blockSize, sameSign ? 1 : 0, u8(codes), f32(absmax));
  },
});

export const dequantize8bitKernel: Kernel<Dequantize8bit, CpuContext> = defineKernel(dequantize8bitOp, {
  accepts: ({ in: { absmax, offset } }) => absmax.dtype === "f32" && (offset === undefined || offset.dtype === "f32"),
  forward({ native }, { in: { codes, absmax, offset }, attrs: { map, blockSize }, out: { y } }) {
    const n = sizeOf(codes.shape);
    native.dequantize_8bit(u8(codes), n, maps8bit[map], f32(absmax), blockSize, offset ? f32(offset) : null, f32(y));
  },
});

function check(code: number, blockSize: number): void {
  if (code !== 0) throw new FtError("input", `[cpu] 4-bit blocks of ${blockSize}`, "use a power of two up to 4096");
}
