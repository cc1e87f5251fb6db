/** How an n-gram order without a match is kept from making the score 0 (Chen and Cherry, 2014). */
export type BleuSmoothing = "add-k" | "exp" | "floor" | "none";

/** What `add-k` adds and what `floor` puts for 0 unless another value is given. */
export const smoothValues: Readonly<Record<BleuSmoothing, number | undefined>> = {
  "add-k": 1,
  exp: undefined,
  floor: 0.1,
  none: undefined,
};

/** N-gram counts of a corpus, by order from 1 up, and its lengths in tokens. */
export interface BleuCounts {
  readonly matches: readonly number[];
  readonly totals: readonly number[];
  readonly systemLength: number;
  readonly referenceLength: number;
}

/** The parts of a BLEU score, all of 100. */
export interface BleuScore extends BleuCounts {
  readonly score: number;
  /** by order, smoothed, of 100 */
  readonly precisions: readonly number[];
  /** 1 unless the predictions are shorter than the references */
  readonly brevityPenalty: number;
}

/**
 * BLEU from counts (Papineni et al., 2002) as sacrebleu 2.6 computes it; `add-k` shows in the counts that come back, as there.
 * @param effectiveOrder leaves out the orders that a short prediction has no n-grams of
 */
export function scoreBleu(
  counts: BleuCounts,
  smoothing: BleuSmoothing,
  smoothValue: number,
  effectiveOrder: boolean,
): BleuScore {
  const { systemLength, referenceLength } = counts;
  const [matches, totals] = [[...counts.matches], [...counts.totals]];
  const precisions = matches.map(() => 0);
  const brevityPenalty =
    systemLength >= referenceLength ? 1 : systemLength > 0 ? Math.exp(1 - referenceLength / systemLength) : 0;
  const parts = { matches, totals, systemLength, referenceLength, precisions, brevityPenalty };
  if (matches.every((count) => count === 0)) return { score: 0, ...parts };

  let halving = 1;
  let orders = matches.length;
  for (let i = 0; i < matches.length; i++) {
    const added = smoothing === "add-k" && i > 0 ? smoothValue : 0;
    const match = (matches[i] ?? 0) + added;
    const total = (totals[i] ?? 0) + added;
    [matches[i], totals[i]] = [match, total];
    if (total === 0) break;
    if (effectiveOrder) orders = i + 1;
    if (match > 0) precisions[i] = (100 * match) / total;
    else if (smoothing === "exp") {
      halving *= 2;
      precisions[i] = 100 / (halving * total);
    } else if (smoothing === "floor") precisions[i] = (100 * smoothValue) / total;
  }
  // the logarithm of 0 makes the score 0
  const logarithms = precisions.slice(0, orders).reduce((sum, precision) => sum + Math.log(precision), 0);
  return { score: brevityPenalty * Math.exp(logarithms / orders), ...parts };
}
