import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";

/** Q5_0, 22 bytes for 32 values: f16 d, the fifth bits of all values in 4 bytes, then nibbles as in Q4_0; value = d·(q - 16). */
export const q5_0: BlockFormat = { name: "Q5_0", id: 6, elements: 32, bytes: 22, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const scales = halvesAt(bytes, 22, [0]);
  const out = new Float32Array(scales.length * 32);
  for (let b = 0; b < scales.length; b++) {
    const d = scales[b]!;
    const high = b * 22 + 2;
    const low = b * 22 + 6;
    for (let i = 0; i < 32; i++) {
      const nibble = (bytes[low + (i & 15)]! >> (i & 16 ? 4 : 0)) & 15;
      const fifth = (bytes[high + (i >> 3)]! >> (i & 7)) & 1;
      out[b * 32 + i] = d * ((nibble | (fifth << 4)) - 16);
    }
  }
  return out;
}
