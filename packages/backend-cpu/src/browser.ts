import { FtError } from "@ft/tensor";
import { assembleBackend, type CpuBackend, type CpuOptions, wantedEngine } from "./assemble.ts";
import { openWasm, wasmPlaces } from "./wasm/library.ts";

export type { CpuBackend, CpuEngine, CpuOptions } from "./assemble.ts";
export type { BufferStats, CpuBuffer, CpuView } from "./buffer.ts";
export type { CpuContext } from "./context.ts";
export type { NativeArgument, NativeObserver } from "./native/observe.ts";
export { type KernelProfile, type KernelTime, kernelProfile } from "./profile/kernel-profile.ts";

/**
 * The same backend in a browser: the WASM module, fetched from `wasm/` of this package, or the loops.
 * @throws FtError "backend" when the native library is asked for, or the module cannot be fetched
 */
export async function createCpuBackend(options: CpuOptions = {}): Promise<CpuBackend> {
  const engine = wantedEngine(options) ?? "wasm";
  if (engine === "native") throw new FtError("backend", "[cpu] a browser loads no native library", 'use engine "wasm"');
  const library = engine === "wasm" ? await openWasm(download) : undefined;
  return assembleBackend(options, engine, library, 1);
}

async function download(): Promise<ArrayBuffer> {
  const [place] = wasmPlaces;
  const response = await fetch(place).catch((error: unknown) => String(error));
  if (typeof response !== "string" && response.ok) return response.arrayBuffer();
  const why = typeof response === "string" ? response : `${response.status} ${response.statusText}`;
  throw new FtError("backend", `[cpu] ${place}: ${why}`, "serve the folder wasm/ of @ft/backend-cpu beside its dist/");
}
