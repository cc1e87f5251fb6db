import { type AnyKernel, type Backend, bytesOf, type DType, FtError, kernelTable } from "@ft/tensor";
import { BufferPool, type BufferStats, type CpuBuffer } from "./buffer.ts";
import { type CpuContext, createContext } from "./context.ts";
import { type DryHooks, type DryRun, dryRun } from "./dry/dry-run.ts";
import { nativeOps } from "./kernels/index.ts";
import type { KernelLibrary } from "./native/kernel-library.ts";
import type { NativeObserver } from "./native/observe.ts";
import { nativePrimitives } from "./native/primitives.ts";
import { referenceLoops } from "./primitives/index.ts";

/**
 * How kernels are computed: by the C kernels as a native library, on all cores; by the same kernels as a WASM module, on
 * one core in 128-bit vectors; by loops in TypeScript, which are the reference.
 */
export type CpuEngine = "native" | "wasm" | "loops";

/** Settings of createCpuBackend. */
export interface CpuOptions {
  /** fused kernels on top of the built-in ones; a later kernel of the same op replaces an earlier one */
  readonly kernels?: readonly AnyKernel<CpuContext>[];
  /** threads of the native kernels, the caller's included; all cores when absent. Results do not depend on it. */
  readonly threads?: number;
  /**
   * What the weights' products are made of, f32 by default. bf16: both factors rounded to bf16, sums in f32, where the
   * processor has such products (AVX-512-BF16), else code "unsupported". Adapters, attention and all else stay f32.
   */
  readonly compute?: "f32" | "bf16";
  /** how kernels are computed, and no other way; the fastest that there is when absent */
  readonly engine?: CpuEngine;
  /** false: reference loops only, as `engine: "loops"` */
  readonly native?: boolean;
  /** hands out buffers full of NaN, so that a kernel that leaves elements unwritten shows (for conformance) */
  readonly poison?: boolean;
  /** hears of each call of a C kernel; kernelProfile() makes one that adds up where the time goes. Without it nothing is timed. */
  readonly observe?: NativeObserver;
}

/** What the CPU backend adds to the contract: what it computes with. */
export interface CpuBackend extends Backend<CpuBuffer> {
  readonly engine: CpuEngine;
  /** whether that is the native library */
  readonly native: boolean;
  readonly threads: number;
  readonly buffers: BufferStats;
  /** The same kernels and buffers with nothing in them, for a plan; `createPlanBackend` of @ft/backend-plan uses it. */
  dryRun(hooks: DryHooks): DryRun;
}

const dtypes: ReadonlySet<DType> = new Set(["f64", "f32", "bf16", "f16", "i32", "i8", "u8", "bool"]);

/** Puts a backend together from an engine and the library that belongs to it (none with the loops). */
export function assembleBackend(
  options: CpuOptions,
  engine: CpuEngine,
  library: KernelLibrary | undefined,
  threads: number,
  collect?: () => void,
): CpuBackend {
  const { kernels = [], poison = false } = options;
  const pool = new BufferPool(poison, undefined, collect);
  const products = options.compute === "bf16" ? 1 : 0;
  const context = createContext(pool, threads, library, products, options.observe);
  if (options.compute === "bf16") checkBf16(library);
  return {
    name: "cpu",
    dtypes,
    mutable: true,
    engine,
    native: engine === "native",
    threads,
    buffers: pool,
    primitives: library ? nativePrimitives(referenceLoops, context) : referenceLoops,
    kernels: kernelTable([...(library ? nativeOps : []), ...kernels]),
    context,
    alloc: (spec) => pool.take(spec),
    adopt: (spec, data) => pool.adopt(spec, data),
    part: (buffer, _spec, start, count) => buffer.subarray(start, start + count),
    free: (buffer) => pool.give(buffer),
    bytes: bytesOf,
    write: (buffer, _spec, data) => buffer.set(data),
    read: async (buffer) => buffer.slice().buffer,
    dryRun: (hooks) => dryRun({ engine, threads, products }, hooks),
    dispose: () => pool.clear(),
  };
}

/** The engine that the options ask for; undefined where they leave the choice. */
export function wantedEngine(options: CpuOptions): CpuEngine | undefined {
  if (options.threads !== undefined && !(Number.isSafeInteger(options.threads) && options.threads > 0))
    throw new FtError("config", `[cpu] ${options.threads} threads`, "use a whole number of at least 1");
  return options.native === false ? "loops" : options.engine;
}

/** Asks for one product of numbers in bf16. */
function checkBf16(library: KernelLibrary | undefined): void {
  const one = new Float32Array(new ArrayBuffer(4)).fill(1);
  const y = new Float32Array(new ArrayBuffer(4));
  if (library?.kernels.gemm(1, 1, 1, one, 1, 0, one, 0, null, 0, 1, 1, y, 1, 1, 0, 1) === 0) return;
  const where = library === undefined ? "a backend without native kernels" : `what runs here (${library.level()})`;
  throw new FtError(
    "unsupported",
    `[cpu] compute bf16: ${where} has no bf16 products`,
    "leave compute at f32; bf16 needs the native kernels and AVX-512-BF16",
  );
}
