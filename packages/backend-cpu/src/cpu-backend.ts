import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { type AnyKernel, type Backend, bytesOf, type DType, FtError, kernelTable } from "@ft/tensor";
import { BufferPool, type BufferStats, type CpuBuffer } from "./buffer.ts";
import { type CpuContext, createContext } from "./context.ts";
import { nativeOps } from "./kernels/index.ts";
import { loadNative, type NativeLibrary } from "./native/library.ts";
import type { NativeObserver } from "./native/observe.ts";
import { nativePrimitives } from "./native/primitives.ts";
import { referenceLoops } from "./primitives/index.ts";

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
  /** false: reference loops only */
  readonly native?: boolean;
  /** hands out buffers full of NaN, so that a kernel that leaves elements unwritten shows (for conformance) */
  readonly poison?: boolean;
  /** hears of each call of a C kernel; kernelProfile() makes one that adds up where the time goes. Without it nothing is timed. */
  readonly observe?: NativeObserver;
}

/** What the CPU backend adds to the contract: whether the C kernels are in use. */
export interface CpuBackend extends Backend<CpuBuffer> {
  readonly native: boolean;
  readonly threads: number;
  readonly buffers: BufferStats;
}

const dtypes: ReadonlySet<DType> = new Set(["f64", "f32", "bf16", "f16", "i32", "i8", "u8", "bool"]);

/** A backend on this machine's processor: `const cpu = await createCpuBackend()`. */
export async function createCpuBackend(options: CpuOptions = {}): Promise<CpuBackend> {
  const { kernels = [], poison = false } = options;
  if (options.threads !== undefined && !(Number.isSafeInteger(options.threads) && options.threads > 0))
    throw new FtError("config", `[cpu] ${options.threads} threads`, "use a whole number of at least 1");
  const library = options.native === false ? undefined : loadNative();
  if (library === undefined && options.native !== false) warnOnce();
  const threads = library ? (options.threads ?? defaultThreads()) : 1;
  const pool = new BufferPool(poison);
  const context = createContext(pool, threads, library, options.compute === "bf16" ? 1 : 0, options.observe);
  if (options.compute === "bf16") checkBf16(library);
  return {
    name: "cpu",
    dtypes,
    mutable: true,
    native: library !== undefined,
    threads,
    buffers: pool,
    primitives: library ? nativePrimitives(referenceLoops, context) : referenceLoops,
    kernels: kernelTable([...(library ? nativeOps : []), ...kernels]),
    context,
    alloc: (spec) => pool.take(spec),
    free: (buffer) => pool.give(buffer),
    bytes: bytesOf,
    write: (buffer, _spec, data) => buffer.set(data),
    read: async (buffer) => buffer.slice().buffer,
    dispose: () => pool.clear(),
  };
}

/** Asks for one product of numbers in bf16. */
function checkBf16(library: NativeLibrary | undefined): void {
  const one = new Float32Array(new ArrayBuffer(4)).fill(1);
  const y = new Float32Array(new ArrayBuffer(4));
  if (library?.kernels.gemm(1, 1, 1, one, 1, 0, one, 0, null, 0, 1, 1, y, 1, 1, 0, 1) === 0) return;
  const where = library === undefined ? "without native kernels" : `this processor (${library.level()})`;
  throw new FtError(
    "unsupported",
    `[cpu] compute bf16: ${where} has no bf16 products`,
    "leave compute at f32; bf16 needs the native kernels and AVX-512-BF16",
  );
}

function defaultThreads(): number {
  const wanted = Number(process.env.FT_THREADS);
  return Number.isSafeInteger(wanted) && wanted > 0 ? wanted : availableParallelism();
}

let warned = false;

function warnOnce(): void {
  if (warned || process.env.FT_NATIVE === "off") return;
  warned = true;
  const script = fileURLToPath(new URL("../tools/build-native.mjs", import.meta.url));
  process.emitWarning(
    `the native kernels of @ft/backend-cpu are not built, so everything is 20 to 100 times slower; with a C compiler installed, run: node ${script}`,
    { type: "FtWarning" },
  );
}
