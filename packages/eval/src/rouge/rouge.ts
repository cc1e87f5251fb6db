import { FtError } from "@ft/tensor";
import { checkReferences, type Metric } from "../metric.ts";
import { lcsScore, ngramScore, type RougeScore, summaryScore } from "./scores.ts";
import { type RougeTokenizer, rougeStems, rougeWords } from "./tokenize.ts";

/** "rouge1" to "rouge9", "rougeL" over whole texts, "rougeLsum" line by line. */
export type RougeType = `rouge${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | "L" | "Lsum"}`;

/** How ROUGE is counted; the defaults are those of evaluate's rouge. */
export interface RougeOptions {
  readonly types?: readonly RougeType[];
  /** stem words of more than 3 letters with NLTK's Porter stemmer; false */
  readonly stemmer?: boolean;
  /** cuts texts into words in place of rouge_score's own; `rougeCharacters` for Chinese */
  readonly tokenizer?: RougeTokenizer;
}

/** Means over the pairs, by type. */
export type RougeResult = ReadonlyMap<RougeType, RougeScore>;

const usual: readonly RougeType[] = ["rouge1", "rouge2", "rougeL", "rougeLsum"];

/**
 * ROUGE (Lin 2004) as rouge_score 0.1.2 computes it, pair by pair, and its mean. Of several references the one with the best
 * F-measure counts, for each type. The value is the mean F-measure of the first type.
 * Errors: "config" for a type that is none; "input" where a prediction has no references.
 */
export function rouge(options: RougeOptions = {}): Metric<RougeResult> {
  const { types = usual, stemmer = false, tokenizer = stemmer ? rougeStems() : rougeWords() } = options;
  if (types.length === 0) throw new FtError("config", "[rouge] no types", `use some of ${usual.join(", ")}`);
  for (const type of types)
    if (!/^rouge([1-9]|L|Lsum)$/.test(type))
      throw new FtError("config", `[rouge] type ${JSON.stringify(type)}`, `use some of ${usual.join(", ")}`);
  const [first = "rouge1"] = types;
  return {
    name: types.length === 1 ? first : "rouge",
    statistics(prediction, references) {
      const each = checkReferences("rouge", references).map((target) =>
        pairScores(target, prediction, types, tokenizer),
      );
      return types.flatMap((_, at) => {
        const best = each.reduce((best, scores) => (scores[at]!.fmeasure > best[at]!.fmeasure ? scores : best))[at]!;
        return [best.precision, best.recall, best.fmeasure];
      });
    },
    score: (sums, pairs) =>
      new Map(
        types.map((type, at) => {
          const mean = (part: number): number => (sums[3 * at + part] ?? 0) / pairs;
          return [type, { precision: mean(0), recall: mean(1), fmeasure: mean(2) }];
        }),
      ),
    value: (result) => result.get(first)?.fmeasure ?? 0,
  };
}

function pairScores(
  target: string,
  prediction: string,
  types: readonly RougeType[],
  tokenizer: RougeTokenizer,
): readonly RougeScore[] {
  const numbers = new Map<string, number>();
  const ids = (text: string): Int32Array =>
    Int32Array.from(tokenizer(text), (token) => {
      const id = numbers.get(token) ?? numbers.size;
      if (id === numbers.size) numbers.set(token, id);
      return id;
    });
  const lines = (text: string): Int32Array[] =>
    text
      .split("\n")
      .filter((line) => line !== "")
      .map(ids);
  const whole = types.some((type) => type !== "rougeLsum");
  const [a, b] = whole ? [ids(target), ids(prediction)] : [new Int32Array(0), new Int32Array(0)];
  return types.map((type) => {
    if (type === "rougeLsum") return summaryScore(lines(target), lines(prediction));
    return type === "rougeL" ? lcsScore(a, b) : ngramScore(a, b, Number(type.slice("rouge".length)));
  });
}
