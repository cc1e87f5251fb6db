import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { type AnyKernel, type Backend, bytesOf, type DType, FtError, kernelTable } from "@ft/tensor";
import { BufferPool, type CpuBuffer } from "./buffer.ts";
import { type CpuContext, createContext } from "./context.ts";
import { nativeOps } from "./kernels/index.ts";
import { loadNative } from "./native/library.ts";
import { nativePrimitives } from "./native/primitives.ts";
import { referenceLoops } from "./primitives/index.ts";

/** Settings of createCpuBackend. */
export interface CpuOptions {
  /** fused kernels on top of the built-in ones; a later kernel of the same op replaces an earlier one */
  readonly kernels?: readonly AnyKernel<CpuContext>[];
  /** threads of the native kernels, the caller's included; all cores when absent. Results do not depend on it. */
  readonly threads?: number;
  /** false: reference loops only */
  readonly native?: boolean;
  /** hands out buffers full of NaN, so that a kernel that leaves elements unwritten shows (for conformance) */
  readonly poison?: boolean;
}

/** What the CPU backend adds to the contract: whether the C kernels are in use. */
export interface CpuBackend extends Backend<CpuBuffer> {
  readonly native: boolean;
  readonly threads: number;
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
  const context = createContext(pool, threads, library);
  return {
    name: "cpu",
    dtypes,
    mutable: true,
    native: library !== undefined,
    threads,
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
