/** The two 8-bit maps: "dynamic" has both signs, "udynamic" none (second moments are never negative). */
export type Map8bit = "dynamic" | "udynamic";

/**
 * 256 ascending values: in decade i of seven, 10^(i−6) times the means of neighbours in an even division of [0.1, 1],
 * into 2^i parts for either sign, or 2^(i+1) without; and 0 and 1. Source: Dettmers 2016, "8-Bit Approximations for
 * Parallelism in Deep Learning"; every f32 rounding as in bitsandbytes, whose files hold the table.
 */
function dynamic(signed: boolean): Float32Array<ArrayBuffer> {
  const round = Math.fround;
  const values = [0, 1];
  for (let decade = 0; decade < 7; decade++) {
    const parts = 2 ** (signed ? decade : decade + 1);
    const scale = round(10 ** (decade - 6));
    const step = round(round(1 - round(0.1)) / parts);
    // counted from the nearer end, with one rounding, as the vectorised linspace of PyTorch does
    const edge = (i: number): number =>
      round(i < Math.floor((parts + 1) / 2) ? round(0.1) + step * i : 1 - step * (parts - i));
    for (let i = 0; i < parts; i++) {
      const value = round(scale * round(round(edge(i) + edge(i + 1)) / 2));
      values.push(...(signed ? [value, -value] : [value]));
    }
  }
  return Float32Array.from(values.sort((a, b) => a - b));
}

/** The signed dynamic map: −0.993…1, zero at code 127. */
export const dynamicMap: Float32Array<ArrayBuffer> = dynamic(true);
/** The unsigned dynamic map: 0…1, zero at code 0. */
export const unsignedDynamicMap: Float32Array<ArrayBuffer> = dynamic(false);

/** The 256 values of a map. */
export const maps8bit: { readonly [M in Map8bit]: Float32Array<ArrayBuffer> } = {
  dynamic: dynamicMap,
  udynamic: unsignedDynamicMap,
};

/**
 * Code = how many of these 255 are below the scaled value: midpoints of neighbours. A value on a midpoint takes the even
 * code, where the binary search of bitsandbytes' kernels ends; below an odd code the bound is therefore one step lower.
 */
export const bounds8bit: { readonly [M in Map8bit]: Float32Array<ArrayBuffer> } = {
  dynamic: bounds(dynamicMap),
  udynamic: bounds(unsignedDynamicMap),
};

function bounds(map: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const middles = Float32Array.from({ length: 255 }, (_, i) => Math.fround(map[i]! + map[i + 1]!) / 2);
  const bits = new Int32Array(middles.buffer);
  for (let i = 1; i < 255; i += 2) bits[i]! -= Math.sign(middles[i]!);
  return middles;
}
