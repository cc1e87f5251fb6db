import type { View } from "../../backend.ts";
import type { P } from "../../prims.ts";

/*
 * bitsandbytes' CUDA kernels are compiled with approximate division: 1/absmax is the instruction rcp.approx, whose last
 * bit depends on the mantissa alone and is off for one in eight. Codes of values on a bound between two of them show it:
 * in FP4 some bounds are fractions, such as 5/24, that weights in bf16 meet exactly. These are the mantissas of 16-bit
 * floats, in units of 2^-10 above 1, whose reciprocal comes out one step higher or lower; measured on an H100. Other
 * reciprocals are rounded correctly here: with weights in f32, one code in some ten million is a neighbour of theirs.
 */
const higher: readonly number[] = [
  11, 17, 18, 20, 48, 91, 97, 98, 104, 105, 113, 138, 147, 148, 153, 203, 204, 209, 225, 226, 252, 260, 296, 298, 304,
  305, 346, 371, 386, 395, 396, 403, 408, 409, 417, 425, 439, 449, 453, 454, 458, 467, 481, 488, 498, 505, 507, 519,
  520, 521, 528, 531, 543, 547, 563, 564, 627, 647, 648, 650, 651, 667, 675, 676, 687, 700, 701, 724, 728, 785, 786,
  787, 789, 805, 807, 813, 823, 872, 874, 876, 878, 893, 920, 923, 928, 944, 968, 987, 988, 997,
];
const lower: readonly number[] = [
  6, 14, 32, 46, 62, 70, 77, 86, 87, 88, 126, 127, 135, 160, 176, 179, 214, 219, 221, 274, 287, 325, 349, 401, 415, 443,
  445, 473, 474, 558, 614, 751, 783, 950, 954, 956, 957, 965, 1010, 1016,
];

/** For each mantissa of ten bits, how many steps of the last bit the reciprocal is off: −1, 0 or 1. */
export const reciprocalSteps: Int8Array<ArrayBuffer> = new Int8Array(1024);
for (const mantissa of higher) reciprocalSteps[mantissa] = 1;
for (const mantissa of lower) reciprocalSteps[mantissa] = -1;

const special = [...higher, ...lower].sort((a, b) => a - b);
/** The mantissas that are off, ascending; the last stands for "none". */
const mantissas = Float32Array.from([...special.map((mantissa) => 1 + mantissa / 1024), 4]);
const bounds = mantissas.slice(0, -1);
const steps = Float32Array.from([...special.map((mantissa) => reciprocalSteps[mantissa]!), 0]);

const exponents = Array.from({ length: 254 }, (_, i) => i - 126);
const powers = Float32Array.from(exponents, (k) => 2 ** k);
// by how many powers lie below x: k, where 2^k < x <= 2^(k+1), is one less than the exponent of the last
const scales = Float32Array.from([-127, ...exponents], (k) => 2 ** -k);
const lastBits = Float32Array.from([-127, ...exponents], (k) => 2 ** (-k - 24));

/** 1/x of f32 as bitsandbytes' kernels have it: with the approximate last bit, and 0 where it would be subnormal (x > 2^126). */
export function reciprocal(p: P, x: View): View {
  const exponent = p.searchSorted(x, p.constant(powers));
  const mantissa = p.mul(x, p.gather(p.constant(scales), exponent));
  const at = p.searchSorted(mantissa, p.constant(bounds));
  const zero = p.fill(x, 0);
  const off = p.where(
    p.compare("eq", p.gather(p.constant(mantissas), at), mantissa),
    p.gather(p.constant(steps), at),
    zero,
  );
  const inverse = p.add(p.div(p.fill(x, 1), x), p.mul(off, p.gather(p.constant(lastBits), exponent)));
  return p.where(p.compare("lt", inverse, 2 ** -126), zero, inverse);
}
