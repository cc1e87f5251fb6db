import { FtError, type Spec, type View } from "@ft/tensor";
import type { BufferPool, CpuBuffer } from "./buffer.ts";
import type { NativeKernels } from "./native/abi.ts";
import type { NativeLibrary } from "./native/library.ts";

/** What fused kernels get as their first argument. */
export interface CpuContext {
  readonly threads: number;
  /** The C kernels, set to this backend's threads. Throws where there is no library: such kernels are not registered then. */
  readonly native: NativeKernels;
  /** Runs `fn` over an f32 work array whose contents are undefined before and lost after. */
  scratch<R>(count: number, fn: (work: Float32Array<ArrayBuffer>) => R): R;
}

/** The number of threads is one per process, in the library; each backend sets its own when another one ran last. */
let activeThreads = 0;

export function createContext(pool: BufferPool, threads: number, library: NativeLibrary | undefined): CpuContext {
  return {
    threads,
    get native(): NativeKernels {
      if (library === undefined)
        throw new FtError("backend", "[cpu] there are no native kernels", "build them: a C compiler is needed");
      if (activeThreads !== threads) {
        library.setThreads(threads);
        activeThreads = threads;
      }
      return library.kernels;
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

/** True when every float among the specs is f32: what the native kernels compute in. */
export function allF32(specs: object): boolean {
  return Object.values(specs).every((spec: Spec) => spec.dtype === "f32" || spec.dtype === "i32");
}
