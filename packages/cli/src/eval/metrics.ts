import {
  accuracy,
  bleu,
  chrf,
  corpusStatistics,
  exactMatch,
  type Metric,
  rouge,
  rougeCharacters,
  type Scoring,
  type StatisticRows,
  sentenceBleu,
  tokenF1,
} from "@ft/eval";
import { FtError } from "@ft/tensor";
import { suggest } from "../config/suggest.ts";
import type { Measure } from "./evaluation.ts";

/** A metric of text as the table needs it: its statistics, the one number that they make, and that of a single row. */
export interface TextMeasure extends Pick<Measure, "name" | "digits"> {
  statistics(predictions: readonly string[], references: readonly (readonly string[])[]): StatisticRows;
  readonly scoring: Scoring<number>;
  /** of one row alone */
  rowScore(prediction: string, references: readonly string[]): number;
  /** as the Python library prints it */
  signature(rows: StatisticRows): string | undefined;
}

interface Shown<Result> {
  readonly name: string;
  readonly digits: number;
  readonly rowScore?: TextMeasure["rowScore"];
  readonly signature?: (result: Result) => string;
}

function measure<Result>(metric: Metric<Result>, { name, digits, rowScore, signature }: Shown<Result>): TextMeasure {
  return {
    name,
    digits,
    statistics: (predictions, references) => corpusStatistics(metric, predictions, references),
    scoring: { name, score: (sums, pairs) => metric.value(metric.score(sums, pairs)), value: (value) => value },
    rowScore:
      rowScore ??
      ((prediction, references) => metric.value(metric.score(metric.statistics(prediction, references), 1))),
    signature: ([first = []]) => signature?.(metric.score(first, 1)),
  };
}

function bleuBy(name: string, tokenizer: "13a" | "zh"): TextMeasure {
  return measure(bleu({ tokenizer }), {
    name,
    digits: 2,
    // a sentence is often too short for four words in a row
    rowScore: (prediction, references) => sentenceBleu(prediction, references, { tokenizer }).score,
    signature: ({ signature }) => signature,
  });
}

const rougeTypes = ["rouge1", "rouge2", "rougeL", "rougeLsum"] as const;

/** What --metrics knows; perplexity needs a model, and is not of text. */
const known: ReadonlyMap<string, () => readonly TextMeasure[]> = new Map<string, () => readonly TextMeasure[]>([
  ["bleu", () => [bleuBy("bleu", "13a")]],
  ["bleu-zh", () => [bleuBy("bleu-zh", "zh")]],
  ["rouge", () => rougeTypes.map((type) => measure(rouge({ types: [type] }), { name: type, digits: 4 }))],
  [
    "rouge-zh",
    () =>
      rougeTypes.map((type) =>
        measure(rouge({ types: [type], tokenizer: rougeCharacters }), { name: `${type}-zh`, digits: 4 }),
      ),
  ],
  ["chrf", () => [measure(chrf(), { name: "chrf", digits: 2, signature: ({ signature }) => signature })]],
  [
    "chrf++",
    () => [measure(chrf({ wordOrder: 2 }), { name: "chrf++", digits: 2, signature: ({ signature }) => signature })],
  ],
  ["exact-match", () => [measure(exactMatch(), { name: "exact-match", digits: 4 })]],
  ["f1", () => [measure(tokenF1(), { name: "f1", digits: 4 })]],
  ["accuracy", () => [measure(accuracy(), { name: "accuracy", digits: 4 })]],
]);

/** Names that --metrics takes. */
export const metricNames: readonly string[] = ["perplexity", ...known.keys()];

/** What is to be measured, in the order asked for, each once. */
export interface ChosenMetrics {
  readonly perplexity: boolean;
  readonly text: readonly TextMeasure[];
}

/** Reads the names. Errors: "config" for one that is none, with the one that may be meant. */
export function chooseMetrics(names: readonly string[]): ChosenMetrics {
  const asked = [...new Set(names)];
  for (const name of asked) {
    if (metricNames.includes(name)) continue;
    const near = suggest(name, metricNames);
    throw new FtError(
      "config",
      `--metrics: there is no metric ${JSON.stringify(name)}`,
      near === undefined ? `take some of ${metricNames.join(", ")}` : `did you mean ${near}?`,
    );
  }
  if (asked.length === 0) throw new FtError("config", "--metrics is empty", `take some of ${metricNames.join(", ")}`);
  return { perplexity: asked.includes("perplexity"), text: asked.flatMap((name) => known.get(name)?.() ?? []) };
}
