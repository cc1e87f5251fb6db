/** Length of the longest common subsequence of two lists of numbers below 2^31, 32 steps of the table at once (Hyyrö 2004). */
export function lcsLength(a: Int32Array, b: Int32Array): number {
  const width = Math.ceil(a.length / 32);
  const places = new Map<number, Uint32Array>();
  for (const [i, token] of a.entries()) {
    const mask = places.get(token) ?? new Uint32Array(width);
    places.set(token, mask);
    mask[i >>> 5]! |= 1 << (i & 31);
  }
  const open = new Uint32Array(width).fill(0xffffffff);
  for (const token of b) {
    const mask = places.get(token);
    if (mask === undefined) continue;
    let carry = 0;
    for (let w = 0; w < width; w++) {
      const v = open[w]!;
      const matched = (v & mask[w]!) >>> 0;
      const sum = v + matched + carry;
      carry = sum > 0xffffffff ? 1 : 0;
      open[w] = (sum | (v & ~matched)) >>> 0;
    }
  }
  let length = 0;
  for (let i = 0; i < a.length; i++) if ((open[i >>> 5]! & (1 << (i & 31))) === 0) length++;
  return length;
}

/**
 * Places in `a` of one longest common subsequence with `b`, last first: of several the one that rouge_score reads out of its
 * table, since the union over sentences depends on which.
 */
export function lcsPlaces(a: Int32Array, b: Int32Array): number[] {
  const [rows, columns] = [a.length, b.length];
  const stride = columns + 1;
  const table = new Uint32Array((rows + 1) * stride);
  for (let i = 1; i <= rows; i++) {
    const token = a[i - 1];
    const row = i * stride;
    for (let j = 1; j <= columns; j++) {
      const up = table[row - stride + j]!;
      const left = table[row + j - 1]!;
      table[row + j] = token === b[j - 1] ? table[row - stride + j - 1]! + 1 : Math.max(up, left);
    }
  }
  const places: number[] = [];
  let [i, j] = [rows, columns];
  while (i > 0 && j > 0) {
    if (a[i - 1] === b[j - 1]) places.push(--i, --j);
    else if (table[i * stride + j - 1]! > table[(i - 1) * stride + j]!) j--;
    else i--;
  }
  return places.filter((_, at) => at % 2 === 0);
}
