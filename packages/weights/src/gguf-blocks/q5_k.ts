import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";
import { packedMinimum, packedScale } from "./packed-scales.ts";

/**
 * Q5_K, 176 bytes for 256 values in 8 parts of 32: d, e, scales and minima as in Q4_K, 32 bytes of fifth bits (bit p of byte i is of value i
 * of part p), then nibbles as in Q4_K. value = d·s·q - e·m.
 */
export const q5_k: BlockFormat = { name: "Q5_K", id: 13, elements: 256, bytes: 176, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const halves = halvesAt(bytes, 176, [0, 2]);
  const blocks = bytes.length / 176;
  const out = new Float32Array(blocks * 256);
  for (let b = 0; b < blocks; b++) {
    const at = b * 176;
    for (let part = 0; part < 8; part++) {
      const scale = halves[2 * b]! * packedScale(bytes, at + 4, part);
      const minimum = halves[2 * b + 1]! * packedMinimum(bytes, at + 4, part);
      const codes = at + 48 + 32 * (part >> 1);
      const shift = part & 1 ? 4 : 0;
      const to = b * 256 + 32 * part;
      for (let i = 0; i < 32; i++) {
        const fifth = (bytes[at + 16 + i]! >> part) & 1;
        out[to + i] = scale * (((bytes[codes + i]! >> shift) & 15) | (fifth << 4)) - minimum;
      }
    }
  }
  return out;
}
