import { normalizeAnswer } from "../exact-match/normalize-answer.ts";
import { customMetric, type Metric } from "../metric.ts";
import { matchNgrams } from "../ngrams/ngrams.ts";
import { splitWords } from "../tokenizers/words.ts";

/** How token F1 cuts answers. */
export interface TokenF1Options {
  /** what to count; the words of SQuAD's normalised answer. For Chinese: `tokenizers.zh` */
  readonly tokenizer?: { tokenize(text: string): readonly string[] };
}

/**
 * The mean F1 of the tokens that a prediction shares with its nearest reference, from 0 to 1, as SQuAD 1.1's script (which
 * prints it of 100). Two empty answers share nothing: 0.
 * Errors: "input" where a prediction has no references.
 */
export function tokenF1(options: TokenF1Options = {}): Metric<number> {
  const tokenizer = options.tokenizer ?? { tokenize: (text) => splitWords(normalizeAnswer(text)) };
  return customMetric("token_f1", (prediction, references) => {
    const tokens = tokenizer.tokenize(prediction);
    return Math.max(...references.map((reference) => f1(tokens, tokenizer.tokenize(reference))));
  });
}

function f1(prediction: readonly string[], reference: readonly string[]): number {
  const [shared = 0] = matchNgrams(prediction, [reference], 1);
  if (shared === 0) return 0;
  const precision = shared / prediction.length;
  const recall = shared / reference.length;
  return (2 * precision * recall) / (precision + recall);
}
