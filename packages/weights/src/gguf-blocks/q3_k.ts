import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";

/**
 * Q3_K, 110 bytes for 256 values in 16 parts of 16. 32 bytes of third bits: bit j of byte i is of value 32·j + i. 64 bytes of 2-bit codes as
 * in Q2_K. 12 bytes of 6-bit scales s: low nibbles of parts 0 to 7, and of 8 to 15 above them, in the first 8 bytes; the upper two bits of
 * part 4·k + j are bits 2·k and 2·k + 1 of byte 8 + j. Then f16 d. value = d·(s - 32)·(q - 4), q with its third bit.
 */
export const q3_k: BlockFormat = { name: "Q3_K", id: 11, elements: 256, bytes: 110, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const scales = halvesAt(bytes, 110, [108]);
  const out = new Float32Array(scales.length * 256);
  for (let b = 0; b < scales.length; b++) {
    const at = b * 110;
    for (let part = 0; part < 16; part++) {
      const low = (bytes[at + 96 + (part & 7)]! >> (part < 8 ? 0 : 4)) & 15;
      const high = (bytes[at + 104 + (part & 3)]! >> (2 * (part >> 2))) & 3;
      const scale = scales[b]! * ((low | (high << 4)) - 32);
      const thirds = at + 16 * (part & 1);
      const codes = at + 32 + 32 * (part >> 3) + 16 * (part & 1);
      const shift = 2 * ((part >> 1) & 3);
      const to = b * 256 + 16 * part;
      for (let i = 0; i < 16; i++) {
        const third = (bytes[thirds + i]! >> (part >> 1)) & 1;
        out[to + i] = scale * (((bytes[codes + i]! >> shift) & 3) + 4 * third - 4);
      }
    }
  }
  return out;
}
