/**
 * Length of the longest common subsequence of two lists of numbers, 32 rows of the table at once (Hyyrö 2004).
 */
export function lcsLength(a: Int32Array, b: Int32Array): number {
  const places = placesOf(a);
  const column = new Int32Array(Math.ceil(a.length / 32)).fill(-1);
  for (const token of b) {
    const mask = places.get(token);
    if (mask !== undefined) advance(column, mask, column);
  }
  let length = 0;
  for (let i = 0; i < a.length; i++) if (grows(column, i)) length++;
  return length;
}

/**
 * Places in `a` of one longest common subsequence with `b`, last first: of several the one that rouge_score reads out of its
 * table, since the union over sentences depends on which.
 */
export function lcsPlaces(a: Int32Array, b: Int32Array): number[] {
  const masks = placesOf(a);
  let column = new Int32Array(Math.ceil(a.length / 32)).fill(-1);
  // columns[j] of the table for the first j + 1 tokens of b; one without a match is that before it
  const columns: Int32Array[] = [];
  for (const token of b) {
    const mask = masks.get(token);
    if (mask !== undefined) {
      const next = new Int32Array(column.length);
      advance(column, mask, next);
      column = next;
    }
    columns.push(column);
  }
  const places: number[] = [];
  let [i, j] = [a.length - 1, b.length - 1];
  while (i >= 0 && j >= 0) {
    if (a[i] === b[j]) {
      places.push(i--);
      j--;
    } else if (grows(columns[j]!, i))
      j--; // the row adds one here without a match, so the column before has it already: left is more than up
    else i--;
  }
  return places;
}

/** For each token the rows of the table where it stands, a bit a row. */
function placesOf(a: Int32Array): ReadonlyMap<number, Int32Array> {
  const masks = new Map<number, Int32Array>();
  for (let i = 0; i < a.length; i++) {
    let mask = masks.get(a[i]!);
    if (mask === undefined) {
      mask = new Int32Array(Math.ceil(a.length / 32));
      masks.set(a[i]!, mask);
    }
    mask[i >>> 5]! |= 1 << (i & 31);
  }
  return masks;
}

/** The next column of the table; a cleared bit is a row whose length is one more than that of the row above. */
function advance(column: Int32Array, mask: Int32Array, next: Int32Array): void {
  let carry = 0;
  for (let w = 0; w < column.length; w++) {
    const open = column[w]!;
    const matched = open & mask[w]!;
    const sum = (open + matched + carry) | 0;
    // a bit is carried out where both have the highest, or one has it and the sum has not; `matched` is part of `open`
    carry = (matched | (open & ~sum)) >>> 31;
    next[w] = sum | (open & ~matched);
  }
}

function grows(column: Int32Array, row: number): boolean {
  return (column[row >>> 5]! & (1 << (row & 31))) === 0;
}
