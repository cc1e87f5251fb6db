import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { FtError } from "@ft/tensor";
import koffi, { type LibraryHandle } from "koffi";
import { engineOfEnvironment, threadsOfEnvironment } from "../environment.ts";
import { type NativeKernels, prototypes } from "./abi.ts";
import { whyUnloadable } from "./image.ts";

export type NativeLevel = "portable" | "neon" | "avx2" | "avx512" | "avx512bf16" | "amx";
/** Instruction sets the library can run with, in ascending order; the first is what every such processor has. */
export const levels: readonly [NativeLevel, ...NativeLevel[]] = [
  process.arch === "arm64" ? "neon" : "portable",
  "avx2",
  "avx512",
  "avx512bf16",
  "amx",
];

/** The C kernels, loaded. One per process; calls are synchronous and use all its threads. */
export interface NativeLibrary {
  readonly path: string;
  readonly kernels: NativeKernels;
  /** Sets how many threads take part from now on (the caller is one of them); returns how many do. */
  setThreads(threads: number): number;
  threads(): number;
  /** The instruction set in use. */
  level(): NativeLevel;
  /** Asks for an instruction set; returns the one in use, which is a lesser one if the processor lacks it. */
  select(level: NativeLevel | "best"): NativeLevel;
  /** Ends the worker threads; `setThreads` starts them again. */
  shutdown(): void;
}

const names: Partial<Record<NodeJS.Platform, string>> = { darwin: "libft_cpu.dylib", win32: "ft_cpu.dll" };
const name = names[process.platform] ?? "libft_cpu.so";
/** The build script, seen from `dist/` or from `src/native/`. */
const script = ["../tools/build-native.mjs", "../../tools/build-native.mjs"]
  .map((path) => fileURLToPath(new URL(path, import.meta.url)))
  .find((path) => existsSync(path));

/** Where a library may be, best first: what this machine's compiler made, then the package of this platform. */
function places(): string[] {
  const found = script === undefined ? [] : [join(dirname(dirname(script)), "build", name)];
  try {
    const require = createRequire(import.meta.url);
    const platform = require.resolve(`@ft/backend-cpu-${process.platform}-${process.arch}/package.json`);
    found.push(join(dirname(platform), name));
  } catch {
    // not installed
  }
  return found.filter((path) => existsSync(path));
}

let loaded: NativeLibrary | undefined;
const said = new Set<string>();

function sayOnce(message: string): void {
  if (!said.has(message)) process.emitWarning(message, { type: "FtWarning" });
  said.add(message);
}

/**
 * Loads the C kernels, once; undefined with `FT_NATIVE=off`, and when there are none that can be loaded here.
 * `FT_CPU_LIBRARY` names a file to use and nothing else. Threads start at `FT_THREADS` or the available parallelism.
 * @throws FtError "config" when the file named by `FT_CPU_LIBRARY` cannot be used
 */
export function loadNative(): NativeLibrary | undefined {
  if (engineOfEnvironment() === "loops") return undefined;
  if (loaded) return loaded;
  const named = process.env.FT_CPU_LIBRARY;
  loaded = named ? openNamed(resolve(named)) : openFirst(places(), sayOnce);
  loaded?.setThreads(threadsOfEnvironment());
  return loaded;
}

function openNamed(path: string): NativeLibrary {
  const found = open(path);
  if (typeof found !== "string") return found;
  const hint = "correct the path, or unset FT_CPU_LIBRARY";
  throw new FtError("config", `[cpu] FT_CPU_LIBRARY: ${path} ${found}`, hint);
}

/** The first library of these that can be used; `warn` hears about each one before it. */
export function openFirst(paths: readonly string[], warn: (message: string) => void): NativeLibrary | undefined {
  for (const [i, path] of paths.entries()) {
    const found = open(path);
    if (typeof found !== "string") return found;
    const next = paths[i + 1] === undefined ? "the native kernels are not used" : `trying ${paths[i + 1]}`;
    const remedy = script !== undefined && i === 0 ? `; build it again: node ${script}` : "";
    warn(`[cpu] ${path} ${found}; ${next}${remedy}`);
  }
  return undefined;
}

/** Names the C interface as the loader knows it; tools/compile.mjs gives the library the same name. */
function abi(): string {
  const declared = Object.values(prototypes).sort().join("\n");
  return `ft${createHash("sha256").update(declared).digest("hex").slice(0, 16)}`;
}

/** The library, or why it cannot be used. */
function open(path: string): NativeLibrary | string {
  const reason = whyUnloadable(path);
  if (reason !== undefined) return reason;
  try {
    const library = koffi.load(path);
    const of = library.func("const char *ft_abi()")();
    if (of !== abi()) return `belongs to another version of this package (its interface is ${of}, not ${abi()})`;
    return bind(path, library);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/\s+/g, " ") : String(error);
    return `cannot be loaded (${why})`;
  }
}

function bind(path: string, library: LibraryHandle): NativeLibrary {
  const init = library.func("int ft_init(int threads)");
  const threads = library.func("int ft_threads()");
  const shutdown = library.func("void ft_shutdown()");
  const select = library.func("int ft_select(int level)");
  const level = library.func("int ft_level()");
  const kernels = Object.fromEntries(
    Object.entries(prototypes).map(([key, prototype]) => [key, library.func(prototype)]),
  ) as unknown as NativeKernels;
  return {
    path,
    kernels,
    setThreads: (n) => init(n),
    threads: () => threads(),
    level: () => levels[level()]!,
    select: (wanted) => levels[select(wanted === "best" ? -1 : levels.indexOf(wanted))]!,
    shutdown: () => shutdown(),
  };
}
