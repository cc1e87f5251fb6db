import { type Backend, tensor } from "@ft/tensor";
import { linear } from "@ft/tensor/ops";
import { awqGrid, roundTo } from "./grid.ts";

/** Parts of the largest magnitude at which weights are cut off, as AutoAWQ tries them: 1, 0.95, …, 0.55. */
const levels = Array.from({ length: 10 }, (_, i) => 1 - i / 20);
/** values of candidates that exist at a time */
const atATime = 2 ** 22;

/**
 * Cuts the weight [out, in] off, in place: each group of each row at the level whose rounded values give the least squared error of
 * that group's part of the output, over all tokens: dᵀ·XᵀX·d for a change d of the group (AutoAWQ sums the same over a sample of
 * tokens). A largest weight cut off leaves a finer grid for the others.
 */
export async function clipWeight(
  backend: Backend,
  weight: Float32Array,
  grams: readonly Float32Array<ArrayBuffer>[],
  groupSize: number,
): Promise<void> {
  const inputs = grams.length * groupSize;
  const rows = weight.length / inputs;
  const step = Math.max(1, Math.floor(atATime / (levels.length * groupSize)));
  for (const [group, gram] of grams.entries()) {
    using side = tensor(backend, "f32", ["a", "b"], [groupSize, groupSize], gram);
    for (let first = 0; first < rows; first += step) {
      const count = Math.min(step, rows - first);
      const part = new Float32Array(count * groupSize);
      const place = (row: number): number => (first + row) * inputs + group * groupSize;
      for (let r = 0; r < count; r++) part.set(weight.subarray(place(r), place(r) + groupSize), r * groupSize);
      const changes = changesOf(part, groupSize);
      using x = tensor(backend, "f32", ["row", "b"], [levels.length * count, groupSize], changes);
      using product = linear(x, side);
      const best = bestLevels(changes, await product.read(), count, groupSize);
      for (let r = 0; r < count; r++) cut(weight.subarray(place(r), place(r) + groupSize), levels[best[r]!]!);
    }
  }
}

/** What rounding changes at every level: [levels, rows, groupSize]. */
function changesOf(part: Float32Array, groupSize: number): Float32Array<ArrayBuffer> {
  const changes = new Float32Array(levels.length * part.length);
  for (const [l, level] of levels.entries()) {
    const clipped = part.slice();
    for (let at = 0; at < part.length; at += groupSize) cut(clipped.subarray(at, at + groupSize), level);
    roundTo(clipped, awqGrid(clipped, groupSize), groupSize, clipped);
    for (let i = 0; i < part.length; i++) changes[l * part.length + i] = clipped[i]! - part[i]!;
  }
  return changes;
}

/** Cuts the values off at a part of their largest magnitude. */
function cut(values: Float32Array, level: number): void {
  if (level === 1) return;
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  most *= level;
  for (let i = 0; i < values.length; i++) values[i] = Math.min(most, Math.max(-most, values[i]!));
}

/** The level of least d·(XᵀX·d) for each row, the first of equals. */
function bestLevels(changes: Float32Array, products: Float32Array, rows: number, groupSize: number): Uint8Array {
  const best = new Uint8Array(rows);
  const least = new Float64Array(rows).fill(Number.POSITIVE_INFINITY);
  for (let at = 0; at < levels.length * rows; at++) {
    let error = 0;
    for (let i = at * groupSize; i < (at + 1) * groupSize; i++) error += changes[i]! * products[i]!;
    const row = at % rows;
    if (error < least[row]!) {
      least[row] = error;
      best[row] = Math.floor(at / rows);
    }
  }
  return best;
}
