import { bytesPerElement, type DType } from "@ft/tensor";
import { type Address, at, type CudaView } from "../context.ts";

/** The dtypes that fused kernels have entries for; f64 is the references'. */
export const threeFloats: ReadonlySet<DType> = new Set<DType>(["f32", "bf16", "f16"]);

/** Elements that a thread moves at once: 16 bytes of the widest of these dtypes. */
export function chunkOf(...dtypes: readonly DType[]): number {
  return 16 / Math.max(...dtypes.map((dtype) => bytesPerElement[dtype]));
}

/** Whether all of them begin at a multiple of 16 bytes, as the kernels' `aligned`: a tensor may begin in the middle of another. */
export function aligned(...arrays: readonly (CudaView | Address | undefined)[]): 0 | 1 {
  const begins = (x: CudaView | Address): Address => (typeof x === "bigint" ? x : at(x));
  return arrays.every((x) => x === undefined || begins(x) % 16n === 0n) ? 1 : 0;
}
