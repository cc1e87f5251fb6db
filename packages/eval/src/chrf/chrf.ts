import { FtError } from "@ft/tensor";
import { checkReferences, type Metric } from "../metric.ts";
import { countNgrams, matchNgrams } from "../ngrams/ngrams.ts";
import { referenceStatistics, referencesPerPair, signature } from "../signature/signature.ts";
import { splitWords } from "../tokenizers/words.ts";
import { chrfWords } from "./words.ts";

/** How chrF counts; the defaults are sacrebleu's. */
export interface ChrfOptions {
  /** longest n-gram of characters; 6 */
  readonly charOrder?: number;
  /** longest n-gram of words: 0 is chrF, 2 is chrF++; 0 */
  readonly wordOrder?: number;
  /** weight of recall against precision; 2 */
  readonly beta?: number;
  readonly lowercase?: boolean;
  /** white space counts as characters; false */
  readonly whitespace?: boolean;
  /** an F-score for each order and their mean, as chrF++.py, Moses and NLTK; false */
  readonly epsSmoothing?: boolean;
}

/** A chrF score of 100. */
export interface ChrfResult {
  readonly score: number;
  /** as sacrebleu names it: "chrF2", with a "+" for each order of words: "chrF2++" */
  readonly variant: string;
  /** as sacrebleu prints it: "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0" */
  readonly signature: string;
}

const epsilon = 1e-16;

/**
 * chrF from 0 to 100 (Popović, 2015), and with `wordOrder: 2` chrF++ (Popović, 2017), as sacrebleu 2.6 computes them. Of several
 * references the one with the best score counts.
 * Errors: "config" for an option that is none; "input" where a prediction has no references.
 */
export function chrf(options: ChrfOptions = {}): Metric<ChrfResult> {
  const { charOrder = 6, wordOrder = 0, beta = 2, lowercase = false, whitespace = false } = options;
  const { epsSmoothing = false } = options;
  for (const [name, order] of [
    ["charOrder", charOrder],
    ["wordOrder", wordOrder],
  ] as const)
    if (!Number.isInteger(order) || order < 0)
      throw new FtError("config", `[chrf] ${name} is ${order}`, "give a whole number from 0 up");
  if (charOrder + wordOrder === 0)
    throw new FtError("config", "[chrf] charOrder and wordOrder are 0", "let one of them be 1 or more");
  if (!(beta > 0)) throw new FtError("config", `[chrf] beta is ${beta}`, "give a number above 0");

  const units = (text: string): [characters: string[], words: string[]] => {
    const cased = lowercase ? text.toLowerCase() : text;
    return [
      charOrder > 0 ? Array.from(whitespace ? cased : splitWords(cased).join("")) : [],
      wordOrder > 0 ? chrfWords(cased) : [],
    ];
  };
  const fScore = (counts: readonly number[]) => scoreOrders(counts, beta, epsSmoothing);
  return {
    name: wordOrder > 0 ? "chrf++" : "chrf",
    statistics(prediction, references) {
      const [characters, words] = units(prediction);
      let best: readonly number[] = [];
      let bestScore = -1;
      for (const reference of checkReferences("chrf", references)) {
        const [targetCharacters, targetWords] = units(reference);
        const counts = [
          ...countOrders(characters, targetCharacters, charOrder),
          ...countOrders(words, targetWords, wordOrder),
        ];
        // one reference needs no choice
        const score = references.length > 1 ? fScore(counts) : 0;
        if (score > bestScore) [best, bestScore] = [counts, score];
      }
      return [...referenceStatistics(references), ...best];
    },
    score(sums, pairs) {
      const [references = 0, squares = 0, ...counts] = Array.from(sums);
      return {
        score: fScore(counts),
        variant: `chrF${beta}${"+".repeat(wordOrder)}`,
        signature: signature(referencesPerPair(references, squares, pairs), [
          ["case", lowercase ? "lc" : "mixed"],
          ["eff", epsSmoothing ? "no" : "yes"],
          ["nc", charOrder],
          ["nw", wordOrder],
          ["space", whitespace ? "yes" : "no"],
        ]),
      };
    },
    value: ({ score }) => score,
  };
}

/** For each order: n-grams of the prediction (0 where the reference is too short to have any), of the reference, of both. */
function countOrders(prediction: readonly string[], reference: readonly string[], orders: number): number[] {
  return matchNgrams(prediction, [reference], orders).flatMap((matches, i) => {
    const target = countNgrams(reference.length, i + 1);
    return [target > 0 ? countNgrams(prediction.length, i + 1) : 0, target, matches];
  });
}

/** The F-score of counts by order, of 100. */
function scoreOrders(counts: readonly number[], beta: number, epsSmoothing: boolean): number {
  const factor = beta ** 2;
  let [precisions, recalls, effective, sum] = [0, 0, 0, 0];
  for (let i = 0; i < counts.length; i += 3) {
    const [predicted = 0, target = 0, matches = 0] = counts.slice(i, i + 3);
    const precision = predicted > 0 ? matches / predicted : epsilon;
    const recall = target > 0 ? matches / target : epsilon;
    const divisor = factor * precision + recall;
    sum += divisor > 0 ? ((1 + factor) * precision * recall) / divisor : epsilon;
    if (predicted > 0 && target > 0) {
      precisions += precision;
      recalls += recall;
      effective++;
    }
  }
  if (epsSmoothing) return (100 * sum) / (counts.length / 3);
  if (precisions + recalls === 0) return 0;
  const [precision, recall] = [precisions / effective, recalls / effective];
  return (100 * ((1 + factor) * precision * recall)) / (factor * precision + recall);
}
