import { f16ToF32 } from "@ft/tensor";

/**
 * Block formats of ggml: 32 values share an f16 scale d, little-endian, at the head of the block. A product of 11 and at most 8 bits
 * is exact in f32, so d·q + m is rounded once, when it is stored, and the results equal those of `gguf.quants` to the bit.
 */
const block = 32;

/** Q8_0: d, then 32 × i8; value = d·q. */
export function dequantizeQ8_0(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const { count, out, scales } = prepare(bytes, 34, 1);
  const quants = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let b = 0; b < count; b++) {
    const d = scales[b]!;
    const from = b * 34 + 2;
    for (let i = 0; i < block; i++) out[b * block + i] = d * quants[from + i]!;
  }
  return out;
}

/** Q4_0: d, then 16 bytes; the low nibbles are values 0 to 15, the high ones 16 to 31; value = d·(q - 8). */
export function dequantizeQ4_0(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const { count, out, scales } = prepare(bytes, 18, 1);
  for (let b = 0; b < count; b++) {
    const d = scales[b]!;
    const from = b * 18 + 2;
    const to = b * block;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[from + i]!;
      out[to + i] = d * ((pair & 15) - 8);
      out[to + 16 + i] = d * ((pair >> 4) - 8);
    }
  }
  return out;
}

/** Q4_1: d, an f16 minimum m, then nibbles as in Q4_0; value = d·q + m. */
export function dequantizeQ4_1(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const { count, out, scales } = prepare(bytes, 20, 2);
  for (let b = 0; b < count; b++) {
    const d = scales[2 * b]!;
    const m = scales[2 * b + 1]!;
    const from = b * 20 + 4;
    const to = b * block;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[from + i]!;
      out[to + i] = d * (pair & 15) + m;
      out[to + 16 + i] = d * (pair >> 4) + m;
    }
  }
  return out;
}

/** The `halves` f16 numbers at the head of each block, widened, and room for the values. */
function prepare(bytes: Uint8Array<ArrayBuffer>, blockBytes: number, halves: number) {
  const count = bytes.length / blockBytes;
  const raw = new Uint16Array(count * halves);
  for (let b = 0; b < count; b++) {
    for (let h = 0; h < halves; h++) {
      const at = b * blockBytes + 2 * h;
      raw[b * halves + h] = bytes[at]! | (bytes[at + 1]! << 8);
    }
  }
  return { count, out: new Float32Array(count * block), scales: f16ToF32(raw) };
}
