import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import koffi from "koffi";
import { type NativeKernels, prototypes } from "./abi.ts";

/** Instruction sets the library can run with, in ascending order. */
export const levels = ["portable", "avx2", "avx512"] as const;
export type NativeLevel = (typeof levels)[number];

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

const names = { darwin: "libft_cpu.dylib", win32: "ft_cpu.dll" } as const;

/** Where the build step leaves the library: `build/` of this package, seen from `dist/` or from `src/native/`. */
function find(): string | undefined {
  const name = process.platform === "darwin" || process.platform === "win32" ? names[process.platform] : "libft_cpu.so";
  const places = ["../build/", "../../build/"].map((folder) => fileURLToPath(new URL(folder + name, import.meta.url)));
  return places.find((path) => existsSync(path));
}

let loaded: NativeLibrary | undefined;

/**
 * Loads the C kernels, once; undefined when they were not built, cannot be loaded here, or `FT_NATIVE=off`. Threads start
 * at `FT_THREADS` or the available parallelism.
 */
export function loadNative(): NativeLibrary | undefined {
  if (process.env.FT_NATIVE === "off") return undefined;
  if (loaded) return loaded;
  const path = find();
  if (!path) return undefined;
  try {
    loaded = open(path);
  } catch {
    return undefined; // built for another machine, or an older build without one of the kernels
  }
  const wanted = Number(process.env.FT_THREADS);
  loaded.setThreads(Number.isInteger(wanted) && wanted > 0 ? wanted : availableParallelism());
  return loaded;
}

function open(path: string): NativeLibrary {
  const library = koffi.load(path);
  const init = library.func("int ft_init(int threads)");
  const threads = library.func("int ft_threads()");
  const shutdown = library.func("void ft_shutdown()");
  const select = library.func("int ft_select(int level)");
  const level = library.func("int ft_level()");
  const kernels = Object.fromEntries(
    Object.entries(prototypes).map(([name, prototype]) => [name, library.func(prototype)]),
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
