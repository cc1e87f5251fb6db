import { FtError } from "@ft/tensor";
import { checkReferences, type Metric } from "../metric.ts";
import { referenceStatistics, referencesPerPair, signature, twoDecimals } from "../signature/signature.ts";
import { type BleuTokenizer, type Tokenizer, tokenizers } from "../tokenizers/tokenizers.ts";
import { trimEnd } from "../tokenizers/words.ts";
import { type BleuScore, type BleuSmoothing, scoreBleu, smoothValues } from "./score.ts";
import { bleuCounts, nearestLength } from "./statistics.ts";

/** How BLEU counts; the defaults are sacrebleu's. */
export interface BleuOptions {
  /** one of sacrebleu's by its name, or your own; "13a". For Chinese: "zh" */
  readonly tokenizer?: BleuTokenizer | Tokenizer;
  /** "exp" */
  readonly smoothing?: BleuSmoothing;
  /** for "floor" (0.1) and "add-k" (1) */
  readonly smoothValue?: number;
  /** for single sentences: orders that the prediction is too short for do not count; false */
  readonly effectiveOrder?: boolean;
  readonly lowercase?: boolean;
  /** longest n-gram; 4 */
  readonly maxOrder?: number;
}

/** A BLEU score of 100 with its parts. */
export interface BleuResult extends BleuScore {
  /** as sacrebleu prints it: "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0" */
  readonly signature: string;
}

/**
 * BLEU from 0 to 100, as sacrebleu 2.6 computes it.
 * Errors: "config" for an option that is none; "input" where a prediction has no references.
 */
export function bleu(options: BleuOptions = {}): Metric<BleuResult> {
  const { tokenizer: named = "13a", smoothing = "exp", effectiveOrder = false, lowercase = false } = options;
  const { maxOrder = 4, smoothValue = smoothValues[smoothing] ?? 0 } = options;
  check(
    typeof named !== "string" || Object.hasOwn(tokenizers, named),
    `there is no tokenizer ${named}`,
    `take one of ${Object.keys(tokenizers).join(", ")}`,
  );
  const tokenizer = typeof named === "string" ? tokenizers[named] : named;
  check(
    Object.hasOwn(smoothValues, smoothing),
    `there is no smoothing ${smoothing}`,
    `take one of ${Object.keys(smoothValues).join(", ")}`,
  );
  check(Number.isInteger(maxOrder) && maxOrder >= 1, `maxOrder is ${maxOrder}`, "give a whole number from 1 up");
  check(smoothValue >= 0, `smoothValue is ${smoothValue}`, "give a number from 0 up");
  check(
    options.smoothValue === undefined || smoothValues[smoothing] !== undefined,
    `smoothing ${smoothing} takes no value`,
    'leave smoothValue out, or take "floor" or "add-k"',
  );

  const tokenize = (text: string) => tokenizer.tokenize(trimEnd(lowercase ? text.toLowerCase() : text));
  const smooth = smoothValues[smoothing] === undefined ? smoothing : `${smoothing}[${twoDecimals(smoothValue)}]`;
  return {
    name: "bleu",
    statistics(prediction, references) {
      const target = checkReferences("bleu", references).map(tokenize);
      const tokens = tokenize(prediction);
      const { matches, totals } = bleuCounts(tokens, target, maxOrder);
      const lengths = [tokens.length, nearestLength(tokens.length, target)];
      return [...referenceStatistics(references), ...lengths, ...matches, ...totals];
    },
    score(sums, pairs) {
      const [references = 0, squares = 0, systemLength = 0, referenceLength = 0, ...counts] = Array.from(sums);
      const [matches, totals] = [counts.slice(0, maxOrder), counts.slice(maxOrder)];
      return {
        ...scoreBleu({ matches, totals, systemLength, referenceLength }, smoothing, smoothValue, effectiveOrder),
        signature: signature(referencesPerPair(references, squares, pairs), [
          ["case", lowercase ? "lc" : "mixed"],
          ["eff", effectiveOrder ? "yes" : "no"],
          ["tok", tokenizer.name],
          ["smooth", smooth],
        ]),
      };
    },
    value: ({ score }) => score,
  };
}

/** BLEU of one prediction from 0 to 100, with effective order unless told otherwise, as sacrebleu's `sentence_bleu`. */
export function sentenceBleu(prediction: string, references: readonly string[], options: BleuOptions = {}): BleuResult {
  const metric = bleu({ effectiveOrder: true, ...options });
  return metric.score(metric.statistics(prediction, references), 1);
}

function check(holds: boolean, what: string, hint: string): asserts holds {
  if (!holds) throw new FtError("config", `[bleu] ${what}`, hint);
}
