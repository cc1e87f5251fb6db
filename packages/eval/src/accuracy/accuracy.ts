import { customMetric, type Metric } from "../metric.ts";
import { trim } from "../tokenizers/words.ts";

/** How accuracy reads a label out of an answer. */
export interface AccuracyOptions {
  /** of a prediction and of a reference; the text without white space at its ends */
  readonly label?: (text: string) => string;
}

/**
 * The fraction of predictions whose label is that of a reference, from 0 to 1, as scikit-learn's `accuracy_score`.
 * Errors: "input" where a prediction has no references.
 */
export function accuracy(options: AccuracyOptions = {}): Metric<number> {
  const label = options.label ?? trim;
  return customMetric("accuracy", (prediction, references) => {
    const predicted = label(prediction);
    return references.some((reference) => label(reference) === predicted) ? 1 : 0;
  });
}
