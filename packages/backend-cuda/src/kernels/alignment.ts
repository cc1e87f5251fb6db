import { bytesPerElement, type DType } from "@ft/tensor";
import { type Address, at, type CudaView } from "../context.ts";

/** The dtypes that fused kernels have entries for; f64 is the references'. */
export const threeFloats: ReadonlySet<DType> = new Set<DType>(["f32", "bf16", "f16"]);
const codes: Partial<Record<DType, number>> = { f32: 0, bf16: 1, f16: 2 };

/** The number by which kernels know one of the three: that of loadAny in kernels/chunk.cuh. */
export function floatCode({ dtype }: CudaView): number | undefined {
  return codes[dtype];
}

/** Elements that a thread moves at once: 16 bytes of the widest of these dtypes. */
export function chunkOf(...dtypes: readonly DType[]): number {
  return 16 / Math.max(...dtypes.map((dtype) => bytesPerElement[dtype]));
}

/** Threads to a block of kernels that take one chunk each. */
export const flatBlock = 256;
/** Blocks of such a kernel for n elements. */
export function flatGrid(n: number, ...dtypes: readonly DType[]): number {
  return Math.ceil(n / (flatBlock * chunkOf(...dtypes)));
}

/** Whether all of them begin at a multiple of 16 bytes, as the kernels' `aligned`: a tensor may begin in the middle of another. */
export function aligned(...arrays: readonly (CudaView | Address | undefined)[]): 0 | 1 {
  const begins = (x: CudaView | Address): Address => (typeof x === "bigint" ? x : at(x));
  return arrays.every((x) => x === undefined || begins(x) % 16n === 0n) ? 1 : 0;
}

/** Bytes rounded up so that what follows in a work area is aligned to 256 bytes. */
export function padded(bytes: number): number {
  return Math.ceil(bytes / 256) * 256;
}
