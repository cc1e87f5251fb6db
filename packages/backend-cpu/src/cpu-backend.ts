import { type AnyKernel, type Backend, bytesOf, type DType, kernelTable, type PrimitiveKernels } from "@ft/tensor";
import { BufferPool, type CpuBuffer } from "./buffer.ts";
import { referenceLoops } from "./primitives/index.ts";

/** What fused kernels get as their first argument. */
export interface CpuContext {
  readonly threads: number;
}

export interface CpuOptions {
  /** fused kernels on top of the built-in ones; a later kernel of the same op replaces an earlier one */
  readonly kernels?: readonly AnyKernel<CpuContext>[];
  /** worker threads of the native kernels; all cores when absent. Results do not depend on it. */
  readonly threads?: number;
  /** false: reference loops only */
  readonly native?: boolean;
  /** hands out buffers full of NaN, so that a kernel that leaves elements unwritten shows (for conformance) */
  readonly poison?: boolean;
}

export type CpuBackend = Backend<CpuBuffer>;

const dtypes: ReadonlySet<DType> = new Set(["f64", "f32", "bf16", "f16", "i32", "i8", "u8", "bool"]);

/** A backend on this machine's processor: `const cpu = await createCpuBackend()`. */
export async function createCpuBackend(options: CpuOptions = {}): Promise<CpuBackend> {
  const { kernels = [], threads = 1, poison = false } = options;
  const pool = new BufferPool(poison);
  const primitives: PrimitiveKernels<CpuBuffer> = referenceLoops;
  const context: CpuContext = { threads };
  return {
    name: "cpu",
    dtypes,
    mutable: true,
    primitives,
    kernels: kernelTable(kernels),
    context,
    alloc: (spec) => pool.take(spec),
    free: (buffer) => pool.give(buffer),
    bytes: bytesOf,
    write: (buffer, _spec, data) => buffer.set(data),
    read: async (buffer) => buffer.slice().buffer,
    dispose: () => pool.clear(),
  };
}
