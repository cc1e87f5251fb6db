import { FtError } from "@ft/tensor";
import { checkReferences, type Metric } from "../metric.ts";
import { tokenizers } from "../tokenizers/tokenizers.ts";
import { bleuCounts } from "./statistics.ts";

/** How evaluate's BLEU counts. */
export interface EvaluateBleuOptions {
  /** adds 1 to matches and totals of every order (after Lin and Och, 2004, who leave the first as it is); false */
  readonly smooth?: boolean;
  /** longest n-gram; 4 */
  readonly maxOrder?: number;
}

/** What `evaluate.load("bleu").compute(...)` gives. */
export interface EvaluateBleuResult {
  /** from 0 to 1 */
  readonly bleu: number;
  /** by order, from 0 to 1 */
  readonly precisions: readonly number[];
  readonly brevityPenalty: number;
  /** of the predictions over the references; 0 where the references have no token at all */
  readonly lengthRatio: number;
  /** tokens */
  readonly translationLength: number;
  /** tokens of the shortest reference of each pair */
  readonly referenceLength: number;
}

/**
 * BLEU from 0 to 1 as Hugging Face's evaluate 0.4 computes it: tokenizer 13a, the shortest reference's length, 0 where an order
 * has no match. Where evaluate divides by zero, because all predictions or all references are empty, this is 0.
 * Errors: "config" for an order that is none; "input" where a prediction has no references.
 */
export function evaluateBleu(options: EvaluateBleuOptions = {}): Metric<EvaluateBleuResult> {
  const { smooth = false, maxOrder = 4 } = options;
  if (!Number.isInteger(maxOrder) || maxOrder < 1)
    throw new FtError("config", `[evaluateBleu] maxOrder is ${maxOrder}`, "give a whole number from 1 up");
  return {
    name: "evaluate_bleu",
    statistics(prediction, references) {
      const target = checkReferences("evaluateBleu", references).map(tokenizers["13a"].tokenize);
      const tokens = tokenizers["13a"].tokenize(prediction);
      const { matches, totals } = bleuCounts(tokens, target, maxOrder);
      return [tokens.length, Math.min(...target.map(({ length }) => length)), ...matches, ...totals];
    },
    score(sums) {
      const [translationLength = 0, referenceLength = 0, ...counts] = Array.from(sums);
      const precisions = counts.slice(0, maxOrder).map((match, i) => {
        const total = counts[maxOrder + i] ?? 0;
        if (smooth) return (match + 1) / (total + 1);
        return total > 0 ? match / total : 0;
      });
      const lengthRatio = referenceLength > 0 ? translationLength / referenceLength : 0;
      const brevityPenalty = lengthRatio > 1 ? 1 : lengthRatio > 0 ? Math.exp(1 - 1 / lengthRatio) : 0;
      const mean = precisions.reduce((sum, precision) => sum + Math.log(precision) / maxOrder, 0);
      const bleu = brevityPenalty * Math.exp(mean);
      return { bleu, precisions, brevityPenalty, lengthRatio, translationLength, referenceLength };
    },
    value: ({ bleu }) => bleu,
  };
}
