import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";

/**
 * Q6_K, 210 bytes for 256 values in 16 parts of 16. 128 bytes of low nibbles: in byte 64·h + i of value 128·h + i below and
 * 128·h + 64 + i above, for i below 64. 64 bytes of upper bits: bits 2·j and 2·j + 1 of byte 32·h + i are of value 128·h + 32·j + i.
 * 16 × i8 scales s, then f16 d. value = d·s·(q - 32).
 */
export const q6_k: BlockFormat = { name: "Q6_K", id: 14, elements: 256, bytes: 210, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const scales = halvesAt(bytes, 210, [208]);
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const out = new Float32Array(scales.length * 256);
  for (let b = 0; b < scales.length; b++) {
    const at = b * 210;
    for (let part = 0; part < 16; part++) {
      const scale = scales[b]! * signed[at + 192 + part]!;
      const half = part >> 3;
      const low = at + 64 * half + 16 * (part & 3);
      const lowShift = part & 4 ? 4 : 0;
      const high = at + 128 + 32 * half + 16 * (part & 1);
      const highShift = 2 * ((part >> 1) & 3);
      const to = b * 256 + 16 * part;
      for (let i = 0; i < 16; i++) {
        const nibble = (bytes[low + i]! >> lowShift) & 15;
        const upper = (bytes[high + i]! >> highShift) & 3;
        out[to + i] = scale * ((nibble | (upper << 4)) - 32);
      }
    }
  }
  return out;
}
