// The start and the gradients of tools/goldens/bnb_optim.py, made again from the same integers.

/** n sums of four hashed bytes less 510: whole numbers with deviation 148. */
function integers(seed: number, n: number): Int32Array {
  return Int32Array.from({ length: n }, (_, i) => {
    let h = (Math.imul(i, 0x9e3779b1) + Math.imul(seed, 0x85ebca77)) | 0;
    h ^= h >>> 16;
    h = Math.imul(h, 0x7feb352d);
    h ^= h >>> 15;
    h = Math.imul(h, 0x846ca68b);
    h ^= h >>> 16;
    return (h & 255) + ((h >>> 8) & 255) + ((h >>> 16) & 255) + (h >>> 24) - 510;
  });
}

/** Start values of n elements. */
export function initial(n: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(integers(0, n), (x) => x / 2048);
}

/** The gradient of a step: blocks of 256 in four scales, block 5 without any before step 50. */
export function gradient(step: number, n: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(integers(step, n), (x, i) => {
    const block = Math.floor(i / 256);
    return step < 50 && block === 5 ? 0 : x * 2 ** (-14 + 2 * (block % 4));
  });
}
