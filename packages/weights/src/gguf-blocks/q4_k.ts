import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";
import { packedMinimum, packedScale } from "./packed-scales.ts";

/**
 * Q4_K, 144 bytes for 256 values in 8 parts of 32: f16 d, f16 e, 12 bytes of scales s and minima m (packed-scales.ts), then 128 bytes: the
 * low nibbles of byte 32·k + i are value i of part 2·k, the high ones of part 2·k + 1. value = d·s·q - e·m.
 */
export const q4_k: BlockFormat = { name: "Q4_K", id: 12, elements: 256, bytes: 144, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const halves = halvesAt(bytes, 144, [0, 2]);
  const blocks = bytes.length / 144;
  const out = new Float32Array(blocks * 256);
  for (let b = 0; b < blocks; b++) {
    const at = b * 144;
    for (let part = 0; part < 8; part++) {
      const scale = halves[2 * b]! * packedScale(bytes, at + 4, part);
      const minimum = halves[2 * b + 1]! * packedMinimum(bytes, at + 4, part);
      const codes = at + 16 + 32 * (part >> 1);
      const shift = part & 1 ? 4 : 0;
      const to = b * 256 + 32 * part;
      for (let i = 0; i < 32; i++) out[to + i] = scale * ((bytes[codes + i]! >> shift) & 15) - minimum;
    }
  }
  return out;
}
