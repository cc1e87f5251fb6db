import { FtError } from "@ft/tensor";

/** A score that is made of sums: of rows of numbers, one row for each of what is measured. */
export interface Scoring<Result> {
  /** as tables and files name it: "bleu" */
  readonly name: string;
  /** The score of `pairs` pairs whose statistics add up to `sums`. */
  score(sums: ArrayLike<number>, pairs: number): Result;
  /** The one number of a result that tables, intervals and tests compare. */
  value(result: Result): number;
}

/**
 * A metric over a corpus of pairs: what one pair contributes is a row of numbers, rows add up, and the score is made of their
 * sums. So a metric streams, merges across workers, and can be resampled without looking at a text twice. A higher value is
 * better.
 */
export interface Metric<Result> extends Scoring<Result> {
  /** What one pair adds, always the same number of numbers. Errors: "input" where there are no references. */
  statistics(prediction: string, references: readonly string[]): readonly number[];
}

/** What a metric has seen: plain numbers, which can be sent to another process and added there. */
export interface MetricState {
  readonly pairs: number;
  readonly sums: readonly number[];
}

/** A metric under way: pairs in, a result out at any time. */
export interface Accumulator<Result> {
  /** Errors: "input" where there are no references. */
  add(prediction: string, references: readonly string[]): void;
  result(): Result;
  state(): MetricState;
  /** Adds what another accumulator of the same metric has seen. */
  merge(state: MetricState): void;
}

/** An empty accumulator of a metric. */
export function accumulate<Result>(metric: Metric<Result>): Accumulator<Result> {
  let pairs = 0;
  let sums: number[] = [];
  const addRow = (row: readonly number[], of: number): void => {
    if (pairs > 0 && of > 0 && row.length !== sums.length)
      throw new FtError(
        "input",
        `[${metric.name}] ${row.length} statistics where the pairs before had ${sums.length}`,
        "merge states of one metric with the same options only",
      );
    sums = pairs === 0 ? [...row] : sums.map((sum, i) => sum + (row[i] ?? 0));
    pairs += of;
  };
  return {
    add: (prediction, references) => addRow(metric.statistics(prediction, references), 1),
    result() {
      if (pairs === 0)
        throw new FtError(
          "input",
          `[${metric.name}] there are no pairs`,
          "add at least one prediction with references",
        );
      return metric.score(sums, pairs);
    },
    state: () => ({ pairs, sums: [...sums] }),
    merge(state) {
      if (state.pairs > 0) addRow(state.sums, state.pairs);
    },
  };
}

/** A metric of your own: the mean of one number a pair. */
export function customMetric(
  name: string,
  measure: (prediction: string, references: readonly string[]) => number,
): Metric<number> {
  return {
    name,
    statistics: (prediction, references) => [measure(prediction, checkReferences(name, references))],
    score: (sums, pairs) => (sums[0] ?? 0) / pairs,
    value: (mean) => mean,
  };
}

/** The references, if there are any. Errors: "input". */
export function checkReferences(name: string, references: readonly string[]): readonly string[] {
  if (references.length === 0)
    throw new FtError("input", `[${name}] a prediction has no references`, "give at least one reference a prediction");
  return references;
}
