import { FtError, type Spec, type View } from "@ft/tensor";
import type { BufferPool, CpuBuffer } from "./buffer.ts";
import type { FloatStorage, Floats, NativeKernels } from "./native/abi.ts";
import type { KernelLibrary } from "./native/kernel-library.ts";
import { type NativeObserver, observed } from "./native/observe.ts";

/** What fused kernels get as their first argument. */
export interface CpuContext {
  readonly threads: number;
  /** what a product over a weight multiplies: 0 f32, 1 pairs of bf16 with sums in f32 */
  readonly products: 0 | 1;
  /** The C kernels, set to this backend's threads. Throws where there are none: such kernels are not registered then. */
  readonly native: NativeKernels;
  /** Runs `fn` over an f32 work array whose contents are undefined before and lost after. */
  scratch<R>(count: number, fn: (work: Float32Array<ArrayBuffer>) => R): R;
}

/** The number of threads is one per library; each backend sets its own when another one ran last. */
const activeThreads = new WeakMap<KernelLibrary, number>();

export function createContext(
  pool: BufferPool,
  threads: number,
  library: KernelLibrary | undefined,
  products: 0 | 1,
  observe?: NativeObserver,
): CpuContext {
  const kernels = library && observe ? observed(library.kernels, observe) : library?.kernels;
  return {
    threads,
    products,
    get native(): NativeKernels {
      if (library === undefined || kernels === undefined)
        throw new FtError("backend", "[cpu] there are no native kernels", "build them: a C compiler is needed");
      if (activeThreads.get(library) !== threads) {
        library.setThreads(threads);
        activeThreads.set(library, threads);
      }
      return kernels;
    },
    scratch(count, fn) {
      const spec: Spec = { dtype: "f32", shape: [count] };
      const work = pool.take(spec);
      try {
        return fn(asF32(work));
      } finally {
        pool.give(work);
      }
    },
  };
}

function asF32(buffer: CpuBuffer): Float32Array<ArrayBuffer> {
  if (buffer instanceof Float32Array) return buffer;
  throw new FtError("dtype", "[cpu] a kernel for f32 was given other data", "register it with `accepts`");
}

/** The f32 values of a view. */
export function f32(view: View<CpuBuffer>): Float32Array<ArrayBuffer> {
  return asF32(view.storage.buffer);
}

/** The i32 values of a view. */
export function i32(view: View<CpuBuffer>): Int32Array<ArrayBuffer> {
  const { buffer } = view.storage;
  if (buffer instanceof Int32Array) return buffer;
  throw new FtError("dtype", "[cpu] a kernel for i32 was given other data", "register it with `accepts`");
}

/** The bytes of a u8 view. */
export function u8(view: View<CpuBuffer>): Uint8Array<ArrayBuffer> {
  const { buffer } = view.storage;
  if (buffer instanceof Uint8Array) return buffer;
  throw new FtError("dtype", "[cpu] a kernel for u8 was given other data", "register it with `accepts`");
}

/** The codes of an i8 view. */
export function i8(view: View<CpuBuffer>): Int8Array<ArrayBuffer> {
  const { buffer } = view.storage;
  if (buffer instanceof Int8Array) return buffer;
  throw new FtError("dtype", "[cpu] a kernel for i8 was given other data", "register it with `accepts`");
}

/** Floats as they lie in memory, and the code their dtype has in C. */
export function stored({ dtype, storage: { buffer } }: View<CpuBuffer>): readonly [Floats, FloatStorage] {
  if (buffer instanceof Float32Array) return [buffer, 0];
  if (buffer instanceof Uint16Array) return [buffer, dtype === "bf16" ? 1 : 2];
  throw new FtError("dtype", `[cpu] a kernel was given a weight in ${dtype}`, "register it with `accepts`");
}

/** Rounds f32 values to `to`, which is stored as f32, bf16 or f16. */
export function roundInto(
  { native }: CpuContext,
  values: Float32Array,
  [to, storage]: readonly [Floats, FloatStorage],
): void {
  if (to instanceof Float32Array) to.set(values);
  else if (storage === 1) native.cast_f32_bf16(values, to, values.length);
  else native.cast_f32_f16(values, to, values.length);
}

/** What C reads and rounds to: f32, bf16 and f16. */
export function isStored({ dtype }: Spec): boolean {
  return dtype === "f32" || dtype === "bf16" || dtype === "f16";
}

/** True when every float among the specs is f32: what the native kernels compute in. */
export function allF32(specs: object): boolean {
  return Object.values(specs).every((spec: Spec) => spec.dtype === "f32" || spec.dtype === "i32");
}
