import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";

/** Q5_1, 24 bytes for 32 values: f16 d, an f16 minimum m, fifth bits and nibbles as in Q5_0; value = d·q + m. */
export const q5_1: BlockFormat = { name: "Q5_1", id: 7, elements: 32, bytes: 24, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const halves = halvesAt(bytes, 24, [0, 2]);
  const blocks = bytes.length / 24;
  const out = new Float32Array(blocks * 32);
  for (let b = 0; b < blocks; b++) {
    const d = halves[2 * b]!;
    const m = halves[2 * b + 1]!;
    const high = b * 24 + 4;
    const low = b * 24 + 8;
    for (let i = 0; i < 32; i++) {
      const nibble = (bytes[low + (i & 15)]! >> (i & 16 ? 4 : 0)) & 15;
      const fifth = (bytes[high + (i >> 3)]! >> (i & 7)) & 1;
      out[b * 32 + i] = d * (nibble | (fifth << 4)) + m;
    }
  }
  return out;
}
