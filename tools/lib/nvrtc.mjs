// NVRTC: NVIDIA's compiler as a library, for the CUDA kernels that are compiled ahead. It needs neither a card nor a toolkit.
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { cacheFolder, withWheel } from "./wheel.mjs";

/** CUDA 12.9: the bytes of what it builds depend on these two. Drivers of CUDA 12 and later load what it makes. */
const COMPILER = "12.9.86";
const HEADERS = "12.9.79";

/**
 * The pinned compiler and its headers, from the Python packages `nvidia-cuda-nvrtc-cu12` (90 MB) and
 * `nvidia-cuda-runtime-cu12` in the user's cache; works offline from then on.
 * @returns {Promise<{library: string, include: string}>}
 */
export async function fetchNvrtc() {
  const folder = cacheFolder(`nvrtc-${COMPILER}`);
  const library = join(folder, "lib", "libnvrtc.so.12");
  const include = join(folder, "include");
  const parts = [
    [`nvidia-cuda-nvrtc-cu12==${COMPILER}`, join("nvidia", "cuda_nvrtc", "lib"), join(folder, "lib")],
    [`nvidia-cuda-runtime-cu12==${HEADERS}`, join("nvidia", "cuda_runtime", "include"), include],
  ];
  mkdirSync(folder, { recursive: true });
  for (const [requirement, from, to] of parts) {
    if (existsSync(to)) continue;
    console.error(`nvrtc: fetching ${requirement}`);
    await withWheel(requirement, cacheFolder("."), (unpacked) => {
      if (!existsSync(to)) renameSync(join(unpacked, from), to);
    });
  }
  return { library, include };
}
