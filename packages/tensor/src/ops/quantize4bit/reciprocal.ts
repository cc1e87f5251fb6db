import type { View } from "../../backend.ts";
import type { P } from "../../prims.ts";

/*
 * bitsandbytes' CUDA kernels are compiled with approximate division: 1/absmax is the instruction rcp.approx, which is one
 * step off in the last bit for one mantissa in eight. Codes of values on a bound between two of them show it: in FP4 some
 * bounds are fractions, such as 5/24, that weights in bf16 meet exactly. The instruction interpolates: in each of 128
 * parts of [1, 2), 1/x is a + b·t + c·t² of the 16 bits t behind the part's seven. Its squarer leaves out every product of
 * two bits below 2^17. The coefficients are found from all 2^23 mantissas as an H100 has them, and give each to the bit.
 */

/** Four times a, whose fraction is a quarter and 2023/2^15 more. In steps of 2^-24 above ½, as all results. */
const constant: readonly number[] = [
  33554432, 33034210, 32521990, 32017589, 31520830, 31031544, 30549560, 30074714, 29606852, 29145822, 28691473,
  28243659, 27802245, 27367092, 26938067, 26515042, 26097893, 25686498, 25280738, 24880498, 24485667, 24096137,
  23711799, 23332554, 22958297, 22588934, 22224366, 21864502, 21509254, 21158529, 20812245, 20470315, 20132661,
  19799201, 19469856, 19144555, 18823219, 18505780, 18192164, 17882305, 17576133, 17273585, 16974597, 16679106,
  16387050, 16098371, 15813010, 15530910, 15252017, 14976273, 14703628, 14434032, 14167429, 13903772, 13643012,
  13385102, 13129997, 12877650, 12628014, 12381048, 12136711, 11894960, 11655753, 11419049, 11184812, 10953004,
  10723584, 10496516, 10271767, 10049298, 9829078, 9611071, 9395243, 9181563, 8969998, 8760518, 8553093, 8347690,
  8144282, 7942838, 7743332, 7545736, 7350021, 7156161, 6964129, 6773901, 6585451, 6398754, 6213786, 6030523, 5848939,
  5669016, 5490727, 5314052, 5138969, 4965456, 4793492, 4623057, 4454131, 4286691, 4120722, 3956201, 3793111, 3631434,
  3471150, 3312241, 3154692, 2998483, 2843598, 2690020, 2537732, 2386719, 2236964, 2088452, 1941167, 1795096, 1650220,
  1506527, 1364004, 1222632, 1082403, 943300, 805309, 668417, 532612, 397881, 264209, 131587,
];
/** Half of b, for t in units of 2^16. */
const slope: readonly number[] = [
  -65534, -64522, -63533, -62567, -61622, -60699, -59797, -58914, -58051, -57207, -56381, -55572, -54781, -54007,
  -53249, -52507, -51780, -51068, -50371, -49688, -49019, -48363, -47721, -47091, -46473, -45868, -45274, -44692,
  -44121, -43560, -43011, -42471, -41942, -41423, -40913, -40412, -39921, -39439, -38965, -38500, -38043, -37594,
  -37153, -36720, -36294, -35876, -35464, -35060, -34663, -34272, -33888, -33511, -33140, -32774, -32415, -32062,
  -31714, -31373, -31036, -30705, -30379, -30059, -29743, -29432, -29127, -28826, -28529, -28237, -27950, -27667,
  -27388, -27114, -26843, -26577, -26314, -26056, -25801, -25550, -25302, -25058, -24818, -24581, -24348, -24117,
  -23890, -23667, -23446, -23228, -23014, -22802, -22593, -22388, -22184, -21984, -21787, -21592, -21399, -21209,
  -21022, -20837, -20655, -20475, -20297, -20122, -19949, -19778, -19609, -19443, -19278, -19116, -18956, -18797,
  -18641, -18487, -18334, -18184, -18035, -17888, -17743, -17600, -17458, -17318, -17180, -17043, -16908, -16775,
  -16643, -16513,
];
/** c, for t in units of 2^16. */
const curvature: readonly number[] = [
  1013, 989, 966, 945, 923, 902, 883, 863, 845, 827, 809, 791, 774, 758, 742, 727, 711, 696, 682, 669, 656, 642, 631,
  618, 605, 594, 582, 572, 561, 549, 540, 529, 519, 510, 501, 490, 482, 474, 465, 457, 449, 441, 433, 426, 418, 412,
  403, 397, 390, 383, 377, 371, 366, 358, 353, 348, 341, 337, 331, 326, 320, 316, 310, 305, 302, 297, 291, 287, 283,
  279, 274, 271, 266, 263, 258, 256, 251, 248, 243, 240, 237, 233, 231, 226, 223, 222, 218, 214, 212, 208, 205, 204,
  199, 197, 196, 193, 189, 186, 184, 182, 180, 178, 175, 173, 171, 169, 166, 165, 161, 160, 159, 155, 154, 153, 150,
  149, 147, 145, 143, 143, 140, 138, 137, 135, 133, 132, 131, 130,
];

const word = new Float32Array(1);
const bitsOfWord = new Int32Array(word.buffer);

/** What reciprocal() makes of one f32, x >= 0. */
export function approximateReciprocal(x: number): number {
  if (x < 2 ** -126) return Number.POSITIVE_INFINITY;
  if (x > 2 ** 126) return 0;
  word[0] = x;
  const bits = bitsOfWord[0]!;
  const part = (bits >> 16) & 127;
  const high = (bits >> 8) & 255;
  const low = bits & 255;
  let square = (high * high) >> 1;
  for (let bit = 1; bit < 8; bit++) square += ((high >> bit) & 1) * (low >> (8 - bit));
  const steps = constant[part]! * 2 ** 13 + 2023 + slope[part]! * (bits & 0xffff) + curvature[part]! * square;
  return (0.5 + Math.floor(steps / 2 ** 15) * 2 ** -24) * 2 ** (127 - (bits >> 23));
}

// A 129th row is for the mantissa 2, which stands for 1 of the next exponent: nothing above ½.
const wholes = Float32Array.from([...constant, 0], (four) => Math.floor(four / 4));
// in steps of 2^-15
const fractions = Float32Array.from([...constant, 0], (four) => (four % 4) * 2 ** 13 + 2023);
const slopes = Float32Array.from([...slope, 0]);
const curvatures = Float32Array.from([...curvature, 0]);

const exponents = Array.from({ length: 253 }, (_, i) => i - 126);
const powers = Float32Array.from(exponents, (k) => 2 ** k);
// by how many powers lie below x: k, where 2^k < x <= 2^(k+1), is the exponent of the last
const scales = Float32Array.from([-127, ...exponents], (k) => 2 ** -k);

/** How many steps of 2^-24 the reciprocal lies above ½, for mantissas in [1, 2]. All numbers are whole and below 2^24. */
function stepsAboveHalf(p: P, mantissa: View): View {
  const floor = (x: View, unit: number): View => p.unary("floor", p.mul(x, 1 / unit));
  const rest = (x: View, whole: View, unit: number): View => p.sub(x, p.mul(whole, unit));
  const parts = p.mul(p.sub(mantissa, 1), 128);
  const part = floor(parts, 1);
  const t = p.mul(p.sub(parts, part), 2 ** 16);
  const high = floor(t, 256);
  const low = rest(t, high, 256);
  // t² without the products that are left out, in units of 2^17
  let square = floor(p.mul(high, high), 2);
  for (let bit = 1; bit < 8; bit++) {
    const above = floor(high, 2 ** bit);
    const set = rest(above, floor(above, 2), 2);
    square = p.add(square, p.mul(set, floor(low, 2 ** (8 - bit))));
  }
  const at = p.cast(part, "i32");
  const of = (table: Float32Array<ArrayBuffer>): View => p.gather(p.constant(table), at);
  const squareHigh = floor(square, 256);
  // slope·t + curvature·square = 256·upper + lower, in steps of 2^-15
  const upper = p.add(p.mul(of(slopes), high), p.mul(of(curvatures), squareHigh));
  const lower = p.add(p.mul(of(slopes), low), p.mul(of(curvatures), rest(square, squareHigh, 256)));
  const upperWhole = floor(upper, 2 ** 7);
  const lowerWhole = floor(lower, 2 ** 15);
  const left = p.add(p.mul(rest(upper, upperWhole, 2 ** 7), 256), rest(lower, lowerWhole, 2 ** 15));
  const carried = floor(p.add(of(fractions), left), 2 ** 15);
  return p.add(p.add(of(wholes), upperWhole), p.add(lowerWhole, carried));
}

/**
 * 1/x of f32, x >= 0, as bitsandbytes' kernels have it to the bit: the GPU's approximation, which knows no subnormal
 * numbers. Infinite below 2^-126, 0 above 2^126.
 */
export function reciprocal(p: P, x: View): View {
  const within = p.binary("max", p.binary("min", x, 2 ** 126), 2 ** -126);
  const scale = p.gather(p.constant(scales), p.searchSorted(within, p.constant(powers)));
  const above = p.mul(stepsAboveHalf(p, p.mul(within, scale)), 2 ** -24);
  const inverse = p.mul(p.add(above, 0.5), scale);
  const bounded = p.where(p.compare("lt", x, 2 ** -126), p.fill(x, Number.POSITIVE_INFINITY), inverse);
  return p.where(p.compare("lt", p.fill(x, 2 ** 126), x), p.fill(x, 0), bounded);
}
