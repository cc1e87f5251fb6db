import type { KernelLibrary } from "../native/kernel-library.ts";
import { wasmKernels } from "./kernels.ts";
import { wasm } from "./webassembly.ts";

/** Where the module may be: seen from `dist/`, and from `src/wasm/`. */
export const wasmPlaces: readonly [URL, URL] = [
  new URL("../wasm/ft_cpu.wasm", import.meta.url),
  new URL("../../wasm/ft_cpu.wasm", import.meta.url),
];

let compiled: Promise<object> | undefined;

/** The kernels in WASM, with memory of their own. The module is read and compiled once. */
export async function openWasm(read: () => Promise<ArrayBuffer | Uint8Array<ArrayBuffer>>): Promise<KernelLibrary> {
  compiled ??= read().then((bytes) => wasm.compile(bytes));
  const module = await compiled.catch((error: unknown) => {
    compiled = undefined;
    throw error;
  });
  return { kernels: wasmKernels(await wasm.instantiate(module)), setThreads: () => 1, level: () => "wasm" };
}
