import { homedir } from "node:os";
import { FtError } from "@ft/tensor";
import type { Io } from "../io.ts";
import { alreadyThere, versionsOf } from "../setup/cache.ts";
import { setupCuda } from "../setup/setup-cuda.ts";

export interface SetupCudaFlags {
  readonly cuda?: "12" | "13";
  readonly from?: "pip" | "archive";
  /** also where the cache has them */
  readonly force?: boolean;
}

/** `ft setup cuda`: NVIDIA's libraries into the cache. Prints their folder. */
export async function setupCudaCommand(flags: SetupCudaFlags, io: Io, signal: AbortSignal): Promise<void> {
  if (process.platform !== "linux")
    throw new FtError(
      "unsupported",
      `ft setup cuda fetches libraries for Linux, this is ${process.platform}`,
      process.platform === "win32" ? "install CUDA and cuDNN, then set FT_CUBLASLT and FT_CUDNN" : "use --backend cpu",
    );
  const { findLibraries, libraryCache } = await import("@ft/backend-cuda");
  const cuda = await cudaFor(flags);
  const cache = libraryCache({ env: process.env, home: homedir() });
  const already = flags.force === true ? undefined : await alreadyThere(cache, cuda);
  if (already) {
    io.note(`already there: ${versionsOf(already.packages)}; --force fetches them anew`);
    io.print(already.folder);
    io.document({ cuda, ...already, already: true });
    return;
  }
  const placed = await setupCuda({ cuda, cache, from: flags.from, note: io.note, signal });
  io.print(placed.folder);
  io.note(`brought     ${versionsOf(placed.packages)}; ft doctor shows what is used`);
  const { cublasLt, cudnn } = findLibraries({ driverCuda: cuda });
  for (const found of [cublasLt, cudnn])
    if (found && found.from !== "ft cache") io.note(`${found.path} is found before it (${found.from})`);
  io.document({ cuda, ...placed, already: false });
}

/** The CUDA version as given, or the newest that the driver runs and there are libraries for. */
async function cudaFor({ cuda }: SetupCudaFlags): Promise<12 | 13> {
  if (cuda !== undefined) return cuda === "12" ? 12 : 13;
  const { findDriver } = await import("@ft/backend-cuda");
  try {
    return findDriver().cuda >= 13_000 ? 13 : 12;
  } catch (error) {
    if (!FtError.is(error)) throw error;
    const what = error.message.slice(0, -error.hint.length - 2).replace(/^\[cuda\] /, "");
    throw new FtError("backend", what, "install the driver first; for another machine say --cuda 12 or --cuda 13", {
      cause: error,
    });
  }
}
