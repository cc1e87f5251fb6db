import { FtError } from "./error.ts";

/**
 * Conversions between f32 and the 16-bit floats, which travel as raw patterns in a `Uint16Array`.
 * Rounding is to nearest, ties to even; every NaN stays a NaN and keeps its sign and its upper payload bits.
 * They work on whole arrays and on integer views: float views could quieten a NaN, and one call per element is 100 times slower.
 */

/** bf16 patterns to f32, exact. `out`, if given, has the length of `src`. */
export function bf16ToF32(src: Uint16Array, out: Float32Array<ArrayBuffer> = new Float32Array(src.length)): Out32 {
  sameLength("bf16ToF32", src, out);
  const bits = bitsOf(out);
  for (let i = 0; i < src.length; i++) bits[i] = src[i]! << 16;
  return out;
}

/** f32 to bf16 patterns, rounded to nearest even. `out`, if given, has the length of `src`. */
export function f32ToBf16(src: Float32Array, out: Uint16Array<ArrayBuffer> = new Uint16Array(src.length)): Out16 {
  sameLength("f32ToBf16", src, out);
  const bits = bitsOf(src);
  for (let i = 0; i < bits.length; i++) {
    const u = bits[i]!;
    if ((u & 0x7fffffff) > 0x7f800000) {
      const cut = u >>> 16;
      out[i] = (cut & 0x7f) === 0 ? cut | 0x40 : cut; // a payload held in the low bits only must not become infinity
    } else {
      out[i] = (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
    }
  }
  return out;
}

/** IEEE f16 patterns to f32, exact. `out`, if given, has the length of `src`. */
export function f16ToF32(src: Uint16Array, out: Float32Array<ArrayBuffer> = new Float32Array(src.length)): Out32 {
  sameLength("f16ToF32", src, out);
  const bits = bitsOf(out);
  halfTable ??= buildHalfTable();
  const table = halfTable;
  for (let i = 0; i < src.length; i++) bits[i] = table[src[i]!]!;
  return out;
}

/** f32 to IEEE f16 patterns, rounded to nearest even; 65,520 and more becomes infinity. `out`, if given, has the length of `src`. */
export function f32ToF16(src: Float32Array, out: Uint16Array<ArrayBuffer> = new Uint16Array(src.length)): Out16 {
  sameLength("f32ToF16", src, out);
  const bits = bitsOf(src);
  for (let i = 0; i < bits.length; i++) {
    const u = bits[i]!;
    const magnitude = u & 0x7fffffff;
    let half: number;
    if (magnitude >= 0x38800000 && magnitude < 0x47800000) {
      // [2^-14, 2^16): re-bias the exponent by 112 and round; a carry runs into the exponent, up to infinity
      half = (magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13;
    } else if (magnitude < 0x38800000) {
      half = subnormalHalf(magnitude);
    } else if (magnitude <= 0x7f800000) {
      half = 0x7c00;
    } else {
      const payload = (magnitude >>> 13) & 0x3ff;
      half = 0x7c00 | (payload === 0 ? 0x200 : payload);
    }
    out[i] = ((u >>> 16) & 0x8000) | half;
  }
  return out;
}

type Out32 = Float32Array<ArrayBuffer>;
type Out16 = Uint16Array<ArrayBuffer>;

/** Multiples of 2^-24 nearest to an f32 magnitude below 2^-14, ties to even. */
function subnormalHalf(magnitude: number): number {
  const exponent = magnitude >>> 23;
  if (exponent < 102) return 0; // below 2^-25, half of the smallest step
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - exponent; // 14 to 24
  const whole = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return rest > tie || (rest === tie && (whole & 1) === 1) ? whole + 1 : whole;
}

/** f32 bits of each of the 65,536 f16 patterns (256 KiB), built on first use: a look-up beats the arithmetic. */
let halfTable: Uint32Array | undefined;

function buildHalfTable(): Uint32Array {
  const table = new Uint32Array(65_536);
  const value = new Float32Array(1);
  const valueBits = bitsOf(value);
  for (let pattern = 0; pattern < 65_536; pattern++) {
    const sign = (pattern & 0x8000) << 16;
    const exponent = (pattern >>> 10) & 0x1f;
    const mantissa = pattern & 0x3ff;
    if (exponent === 0) {
      value[0] = mantissa * 2 ** -24;
      table[pattern] = sign | valueBits[0]!;
    } else {
      table[pattern] = sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (mantissa << 13);
    }
  }
  return table;
}

function bitsOf(floats: Float32Array): Uint32Array {
  return new Uint32Array(floats.buffer, floats.byteOffset, floats.length);
}

function sameLength(op: string, src: { readonly length: number }, out: { readonly length: number }): void {
  if (src.length !== out.length)
    throw new FtError(
      "shape",
      `[${op}] ${src.length} values into an array of ${out.length}`,
      "give an output array of the same length, or none",
    );
}
