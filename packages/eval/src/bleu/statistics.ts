import { countNgrams, matchNgrams } from "../ngrams/ngrams.ts";
import type { BleuCounts } from "./score.ts";

/** Clipped matches of one prediction and the n-grams it has, by order from 1 up. */
export function bleuCounts(
  prediction: readonly string[],
  references: readonly (readonly string[])[],
  maxOrder: number,
): Pick<BleuCounts, "matches" | "totals"> {
  return {
    matches: matchNgrams(prediction, references, maxOrder),
    totals: Array.from({ length: maxOrder }, (_, i) => countNgrams(prediction.length, i + 1)),
  };
}

/** Of the references' lengths the one nearest to the prediction's; of two as near, the shorter. */
export function nearestLength(length: number, references: readonly (readonly string[])[]): number {
  let nearest = Number.POSITIVE_INFINITY;
  for (const { length: candidate } of references) {
    const nearer = Math.abs(candidate - length) - Math.abs(nearest - length);
    if (nearer < 0 || (nearer === 0 && candidate < nearest)) nearest = candidate;
  }
  return nearest;
}
