import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FtError } from "@ft/tensor";
import { assembleBackend, type CpuBackend, type CpuOptions, wantedEngine } from "./assemble.ts";
import { collect } from "./collect.ts";
import { engineOfEnvironment, threadsOfEnvironment } from "./environment.ts";
import { loadNative } from "./native/library.ts";
import { openWasm, wasmPlaces } from "./wasm/library.ts";

/**
 * A backend on this machine's processor: `const cpu = await createCpuBackend()`. Without a native library it says so once
 * and takes the WASM module. `FT_NATIVE=wasm` and `FT_NATIVE=off` (loops) in the environment choose where the options do not.
 */
export async function createCpuBackend(options: CpuOptions = {}): Promise<CpuBackend> {
  const engine = wantedEngine(options) ?? engineOfEnvironment();
  if (engine === "loops") return assembleBackend(options, "loops", undefined, 1, collect);
  if (engine !== "wasm") {
    const library = loadNative();
    // the library has a limit of its own, and says what it came to
    if (library)
      return assembleBackend(
        options,
        "native",
        library,
        library.setThreads(options.threads ?? threadsOfEnvironment()),
        collect,
      );
    const hint = `with a C compiler installed, run: node ${script}`;
    if (engine === "native") throw new FtError("backend", "[cpu] there is no native library", hint);
    warnOnce(`@ft/backend-cpu has no native library here and computes in WASM on one core; ${hint}`);
  }
  return assembleBackend(options, "wasm", await openWasm(async () => read()), 1, collect);
}

function read(): Uint8Array<ArrayBuffer> {
  for (const place of wasmPlaces)
    try {
      return Uint8Array.from(readFileSync(place));
    } catch {
      // the other place
    }
  throw new FtError("backend", "[cpu] wasm/ft_cpu.wasm cannot be read", "reinstall @ft/backend-cpu");
}

const script = fileURLToPath(new URL("../tools/build-native.mjs", import.meta.url));
let warned = false;

function warnOnce(message: string): void {
  if (!warned) process.emitWarning(message, { type: "FtWarning" });
  warned = true;
}
