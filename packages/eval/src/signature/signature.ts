/** Version of sacrebleu whose scores and signatures these are. */
const version = "2.6.0";

/**
 * What says how a score was made, as sacrebleu prints it.
 * @param references how many each pair has, or "var" where that differs
 */
export function signature(references: number | "var", parts: readonly (readonly [string, string | number])[]): string {
  return [["nrefs", references], ...parts, ["version", version]].map(([key, value]) => `${key}:${value}`).join("|");
}

/** Two numbers a pair that add up to whether all pairs have the same number of references. */
export function referenceStatistics(references: readonly string[]): [number, number] {
  return [references.length, references.length ** 2];
}

/** How many references each of the pairs has, from the sums of `referenceStatistics`. */
export function referencesPerPair(sum: number, squares: number, pairs: number): number | "var" {
  // the mean of the squares is the square of the mean only where all are equal
  return squares * pairs === sum * sum ? sum / pairs : "var";
}

/** A number with two decimals, as Python prints it: of two that are equally near, the even one. */
export function twoDecimals(value: number): string {
  // only multiples of 1/8 lie half way between two hundredths in binary, and for those all of this is exact
  if (!Number.isInteger(value * 8)) return value.toFixed(2);
  const hundredths = value * 100;
  const below = Math.floor(hundredths);
  const up = hundredths - below > 0.5 || (hundredths - below === 0.5 && below % 2 !== 0);
  return ((below + (up ? 1 : 0)) / 100).toFixed(2);
}
