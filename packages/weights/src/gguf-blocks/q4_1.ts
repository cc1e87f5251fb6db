import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";

/** Q4_1, 20 bytes for 32 values: f16 d, an f16 minimum m, then nibbles as in Q4_0; value = d·q + m. */
export const q4_1: BlockFormat = { name: "Q4_1", id: 3, elements: 32, bytes: 20, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const halves = halvesAt(bytes, 20, [0, 2]);
  const blocks = bytes.length / 20;
  const out = new Float32Array(blocks * 32);
  for (let b = 0; b < blocks; b++) {
    const d = halves[2 * b]!;
    const m = halves[2 * b + 1]!;
    const from = b * 20 + 4;
    const to = b * 32;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[from + i]!;
      out[to + i] = d * (pair & 15) + m;
      out[to + 16 + i] = d * (pair >> 4) + m;
    }
  }
  return out;
}
