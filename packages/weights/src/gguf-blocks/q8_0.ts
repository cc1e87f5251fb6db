import type { BlockFormat } from "./block-format.ts";
import { halvesAt } from "./halves-at.ts";

/** Q8_0, 34 bytes for 32 values: f16 d, then 32 × i8; value = d·q. */
export const q8_0: BlockFormat = { name: "Q8_0", id: 8, elements: 32, bytes: 34, dequantize };

function dequantize(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const scales = halvesAt(bytes, 34, [0]);
  const quants = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const out = new Float32Array(scales.length * 32);
  for (let b = 0; b < scales.length; b++) {
    const d = scales[b]!;
    const from = b * 34 + 2;
    for (let i = 0; i < 32; i++) out[b * 32 + i] = d * quants[from + i]!;
  }
  return out;
}
