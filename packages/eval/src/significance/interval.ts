import type { Scoring } from "../metric.ts";
import {
  checkSamples,
  drawPairs,
  type ResamplingOptions,
  resampledValues,
  type StatisticRows,
  scoreRows,
} from "./resample.ts";

/** A score and how far it may be off, by resampling the pairs. */
export interface ConfidenceInterval {
  readonly score: number;
  /** of the samples */
  readonly mean: number;
  /** 95 of 100 samples lie between `low` and `high` */
  readonly low: number;
  readonly high: number;
  /** half the distance between them: what sacrebleu prints behind the mean */
  readonly halfWidth: number;
}

/**
 * A 95 % confidence interval by bootstrap resampling (Koehn, 2004), with sacrebleu's bounds; 1,000 samples unless told otherwise.
 * Errors: "input" where there are no rows; "config" for a number of samples that is none.
 */
export function confidenceInterval<Result>(
  metric: Scoring<Result>,
  rows: StatisticRows,
  options: ResamplingOptions = {},
): ConfidenceInterval {
  const samples = checkSamples(options.samples ?? 1000);
  const score = scoreRows(metric, rows);
  return { score, ...intervalOf(resampledValues(metric, rows, samples, drawPairs(rows.length, options.seed))) };
}

/** Mean and bounds of the scores of samples. */
export function intervalOf(values: Float64Array): Omit<ConfidenceInterval, "score"> {
  const sorted = values.toSorted();
  const at = Math.floor(sorted.length / 40);
  const [low = Number.NaN, high = Number.NaN] = [sorted[at], sorted[sorted.length - at - 1]];
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, low, high, halfWidth: (high - low) / 2 };
}
