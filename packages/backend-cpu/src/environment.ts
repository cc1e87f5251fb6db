import { availableParallelism } from "node:os";
import { FtError } from "@ft/tensor";

/** What `FT_NATIVE` asks for where no option does: the WASM module, the reference loops, or the best there is. */
export function engineOfEnvironment(): "wasm" | "loops" | undefined {
  const asked = process.env.FT_NATIVE ?? "";
  if (asked === "") return undefined;
  if (asked === "wasm") return "wasm";
  if (asked === "off") return "loops";
  throw new FtError(
    "config",
    `[cpu] FT_NATIVE is "${asked}"`,
    "set it to wasm, or to off for the reference loops, or unset it",
  );
}

/** `FT_THREADS`, or the available parallelism. */
export function threadsOfEnvironment(): number {
  const asked = process.env.FT_THREADS ?? "";
  if (asked === "") return availableParallelism();
  const threads = Number(asked);
  if (Number.isSafeInteger(threads) && threads > 0) return threads;
  throw new FtError("config", `[cpu] FT_THREADS is "${asked}"`, "set it to a whole number of at least 1, or unset it");
}
