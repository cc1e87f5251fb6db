import { bytesPerElement, type DataOf, type DType, type PrimitiveKernels, type Spec } from "@ft/tensor";
import type { CudaBuffer } from "./context.ts";

/** Every dtype of the contract, as the host stores it. */
export const dtypes: ReadonlySet<DType> = new Set(["f64", "f32", "bf16", "f16", "i32", "i8", "u8", "bool"]);

/** integers of buffers up to this many elements are also kept on the host */
const kept = 1 << 20;

/** The elements [start, start + count) of a buffer: the same memory. */
export function partOf(buffer: CudaBuffer, { dtype }: Spec, start: number, count: number): CudaBuffer {
  const size = bytesPerElement[dtype];
  return { address: buffer.address + BigInt(start * size), bytes: count * size };
}

/** Keeps what the host wrote to a buffer where kernels may decide by it: ids of segments, targets. */
export function remember(buffer: CudaBuffer, { dtype }: Spec, data: DataOf[DType]): void {
  buffer.host = data instanceof Int32Array && dtype === "i32" && data.length <= kept ? data.slice() : undefined;
}

/** Primitives that write over integers make what the host remembers of them untrue. */
export function forgetting(table: PrimitiveKernels<CudaBuffer>): PrimitiveKernels<CudaBuffer> {
  const wrapped = Object.entries(table).map(([name, primitive]) => {
    const run = primitive as (inputs: object, attrs: object, out: { storage: { buffer: CudaBuffer } }) => void;
    return [
      name,
      (inputs: object, attrs: object, out: { storage: { buffer: CudaBuffer } }) => {
        out.storage.buffer.host = undefined;
        run(inputs, attrs, out);
      },
    ];
  });
  return Object.fromEntries(wrapped) as PrimitiveKernels<CudaBuffer>;
}
