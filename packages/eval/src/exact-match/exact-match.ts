import { customMetric, type Metric } from "../metric.ts";
import { removePunctuation } from "../tokenizers/punctuation.ts";
import { splitWords } from "../tokenizers/words.ts";
import { normalizeAnswer } from "./normalize-answer.ts";

/** What an answer may differ in and still match; nothing unless it is named here. */
export interface ExactMatchOptions {
  /** what they match is removed before all else, one after another; give them the flag `g` */
  readonly ignorePatterns?: readonly RegExp[];
  readonly ignoreCase?: boolean;
  /** ASCII punctuation */
  readonly ignorePunctuation?: boolean;
  /** the digits 0 to 9 */
  readonly ignoreNumbers?: boolean;
  /** at both ends, and how much there is between words */
  readonly ignoreWhitespace?: boolean;
  /** case, ASCII punctuation, the articles a, an and the, white space: as SQuAD's script */
  readonly squad?: boolean;
}

/**
 * The fraction of predictions that are equal to one of their references, from 0 to 1, as `exact_match` of evaluate 0.4 and,
 * with `squad`, as SQuAD 1.1's script (which prints it of 100).
 * Errors: "input" where a prediction has no references.
 */
export function exactMatch(options: ExactMatchOptions = {}): Metric<number> {
  const normalize = (text: string): string => {
    let kept = text;
    for (const pattern of options.ignorePatterns ?? []) kept = kept.replace(pattern, "");
    if (options.ignoreCase) kept = kept.toLowerCase();
    if (options.ignorePunctuation) kept = removePunctuation(kept);
    if (options.ignoreNumbers) kept = kept.replace(/[0-9]/g, "");
    if (options.ignoreWhitespace) kept = splitWords(kept).join(" ");
    return options.squad ? normalizeAnswer(kept) : kept;
  };
  return customMetric("exact_match", (prediction, references) => {
    const answer = normalize(prediction);
    return references.some((reference) => normalize(reference) === answer) ? 1 : 0;
  });
}
