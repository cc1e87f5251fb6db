import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";

/**
 * Q2_K, 84 bytes for 256 values in 16 parts of 16. Byte p: part p's scale s in its low nibble, minimum m in the high one. From byte 16 on
 * the 2-bit codes: byte 32·h + i holds values 128·h + 32·j + i, for j of 0 to 3 from the lowest bits up. Then f16 d, f16 e.
 * value = d·s·q - e·m.
 */
export const q2_k: BlockFormat = { name: "Q2_K", id: 10, elements: 256, bytes: 84, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const halves = halvesAt(bytes, 84, [80, 82]);
  const blocks = bytes.length / 84;
  const out = new Float32Array(blocks * 256);
  for (let b = 0; b < blocks; b++) {
    const at = b * 84;
    for (let part = 0; part < 16; part++) {
      const packed = bytes[at + part]!;
      const scale = halves[2 * b]! * (packed & 15);
      const minimum = halves[2 * b + 1]! * (packed >> 4);
      const codes = at + 16 + 32 * (part >> 3) + 16 * (part & 1);
      const shift = 2 * ((part >> 1) & 3);
      const to = b * 256 + 16 * part;
      for (let i = 0; i < 16; i++) out[to + i] = scale * ((bytes[codes + i]! >> shift) & 3) - minimum;
    }
  }
  return out;
}
