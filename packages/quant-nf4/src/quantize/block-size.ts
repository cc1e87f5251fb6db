import { FtError } from "@ft/tensor";

/** The 4-bit block sizes that bitsandbytes has. */
export const blockSizes: readonly number[] = [32, 64, 128, 256, 512, 1024, 2048, 4096];

/** Throws unless a 4-bit block size is one of them. */
export function checkBlockSize(blockSize: number): void {
  if (blockSizes.includes(blockSize)) return;
  throw new FtError("input", `[quantize] block size ${blockSize}`, `use one of ${blockSizes.join(", ")}`);
}
