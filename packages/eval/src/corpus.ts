import { FtError } from "@ft/tensor";
import type { Metric, Scoring } from "./metric.ts";

/**
 * The statistics of each pair, [pair][statistic]: what intervals and paired tests resample.
 * Errors: "input" where there are not as many lists of references as predictions, or a list is empty.
 */
export function corpusStatistics<Result>(
  metric: Metric<Result>,
  predictions: readonly string[],
  references: readonly (readonly string[])[],
): (readonly number[])[] {
  if (predictions.length !== references.length)
    throw new FtError(
      "input",
      `[${metric.name}] ${predictions.length} predictions and ${references.length} lists of references`,
      "give one list of references a prediction, in the same order",
    );
  return predictions.map((prediction, i) => metric.statistics(prediction, references[i] ?? []));
}

/** The score of a corpus at once. Errors: as `corpusStatistics`; "input" where there are no pairs. */
export function corpusScore<Result>(
  metric: Metric<Result>,
  predictions: readonly string[],
  references: readonly (readonly string[])[],
): Result {
  return scoreOf(metric, corpusStatistics(metric, predictions, references));
}

/** The score of rows of statistics. Errors: "input" where there are none. */
export function scoreOf<Result>(metric: Scoring<Result>, rows: readonly (readonly number[])[]): Result {
  const [first] = rows;
  if (first === undefined)
    throw new FtError("input", `[${metric.name}] there are no pairs`, "add at least one prediction with references");
  const sums = new Array<number>(first.length).fill(0);
  for (const row of rows) for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] ?? 0) + (row[i] ?? 0);
  return metric.score(sums, rows.length);
}
