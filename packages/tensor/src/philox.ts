/*
 * Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
 * A value depends on (seed, stream, step, element) alone, never on how many were drawn before: the same dropout mask,
 * shuffle or initialisation on every backend, at any thread count, and after a resume.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of an unsigned 32×32-bit product, in 16-bit pieces that doubles hold exactly. */
function mulHigh(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const cross = ah * bl + ((al * bl) >>> 16);
  const low = al * bh + (cross & 0xffff);
  return (ah * bh + Math.floor(cross / 0x10000) + Math.floor(low / 0x10000)) >>> 0;
}

/** Ten rounds over one counter (c0, c1, c2, c3) under key (k0, k1); writes four unsigned words. */
export function philox4x32(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Uint32Array,
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const hi0 = mulHigh(M0, c0);
    const lo0 = Math.imul(M0, c0) >>> 0;
    const hi1 = mulHigh(M1, c2);
    const lo1 = Math.imul(M1, c2) >>> 0;
    c0 = (hi1 ^ c1 ^ k0) >>> 0;
    c1 = lo1;
    c2 = (hi0 ^ c3 ^ k1) >>> 0;
    c3 = lo0;
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/**
 * The uniform numbers of one (seed, stream, step): element i is word i mod 4 of counter (i div 4, 0, step, 0), its top
 * 24 bits as a fraction in [0, 1). This is what the `random` primitive computes.
 */
export function philox(seed: number, stream: number, step: number): (i: number) => number {
  const words = new Uint32Array(4);
  let block = -1;
  return (i) => {
    const wanted = Math.floor(i / 4);
    if (wanted !== block) {
      philox4x32([wanted >>> 0, 0, step >>> 0, 0], [seed >>> 0, stream >>> 0], words);
      block = wanted;
    }
    return (words[i % 4]! >>> 8) * 2 ** -24;
  };
}

/** A standard normal number per index, by Box and Muller from two uniforms of one (seed, stream, step). */
export function philoxNormal(seed: number, stream: number, step: number): (i: number) => number {
  const uniform = philox(seed, stream, step);
  return (i) => Math.sqrt(-2 * Math.log(1 - uniform(2 * i))) * Math.cos(2 * Math.PI * uniform(2 * i + 1));
}

/** Numbers 0..n-1 in a random order that depends on (seed, stream, step) alone (Fisher and Yates). */
export function philoxPermutation(n: number, seed: number, stream: number, step: number): Int32Array {
  const uniform = philox(seed, stream, step);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(uniform(i) * (i + 1));
    const held = order[i]!;
    order[i] = order[j]!;
    order[j] = held;
  }
  return order;
}
