import { FtError, type PrimitiveKernels, philox4x32 } from "@ft/tensor";
import type { CpuBuffer } from "../buffer.ts";

/** Uniform numbers from Philox, one counter block for four elements. */
export const random: PrimitiveKernels<CpuBuffer>["random"] = ({ step }, { seed, stream }, out) => {
  const y = out.storage.buffer;
  if (!(y instanceof Float32Array))
    throw new FtError("dtype", `[random] makes f32, asked for ${out.dtype}`, "cast the result");
  const at = step.storage.buffer[0]! >>> 0;
  const words = new Uint32Array(4);
  for (let i = 0; i < y.length; i += 4) {
    philox4x32([i / 4, 0, at, 0], [seed >>> 0, stream >>> 0], words);
    const end = Math.min(4, y.length - i);
    for (let j = 0; j < end; j++) y[i + j] = (words[j]! >>> 8) * 2 ** -24;
  }
};
