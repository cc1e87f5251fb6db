import type { NativeKernels } from "./abi.ts";

/** Compiled kernels, from a shared library or a WASM module. Calls are synchronous. */
export interface KernelLibrary {
  readonly kernels: NativeKernels;
  /** Sets how many threads take part from now on (the caller is one of them); returns how many do. */
  setThreads(threads: number): number;
  /** The instruction set in use. */
  level(): string;
}
