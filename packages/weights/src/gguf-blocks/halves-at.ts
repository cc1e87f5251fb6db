import { f16ToF32 } from "@ft/tensor";

/** The f16 numbers at `offsets` within each block, widened: [blocks, offsets]. */
export function halvesAt(bytes: Uint8Array, blockBytes: number, offsets: readonly number[]): Float32Array<ArrayBuffer> {
  const blocks = bytes.length / blockBytes;
  const patterns = new Uint16Array(blocks * offsets.length);
  let i = 0;
  for (let at = 0; at < bytes.length; at += blockBytes)
    for (const offset of offsets) patterns[i++] = bytes[at + offset]! | (bytes[at + offset + 1]! << 8);
  return f16ToF32(patterns);
}
