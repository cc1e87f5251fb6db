import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";

/** Q4_0, 18 bytes for 32 values: f16 d, then 16 bytes, whose low nibbles are values 0 to 15, the high ones 16 to 31; value = d·(q - 8). */
export const q4_0: BlockFormat = { name: "Q4_0", id: 2, elements: 32, bytes: 18, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const scales = halvesAt(bytes, 18, [0]);
  const out = new Float32Array(scales.length * 32);
  for (let b = 0; b < scales.length; b++) {
    const d = scales[b]!;
    const from = b * 18 + 2;
    const to = b * 32;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[from + i]!;
      out[to + i] = d * ((pair & 15) - 8);
      out[to + 16 + i] = d * ((pair >> 4) - 8);
    }
  }
  return out;
}
