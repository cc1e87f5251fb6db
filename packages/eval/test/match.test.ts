import { describe, expect, test } from "vitest";
import { normalizeAnswer } from "../src/exact-match/normalize-answer.ts";
import { accuracy, corpusScore, type ExactMatchOptions, exactMatch, type Metric, tokenF1 } from "../src/index.ts";
import { differences, doubles, type Pairs, readGolden } from "./pairs.ts";

interface EvaluateOptions {
  readonly ignore_case?: boolean;
  readonly ignore_punctuation?: boolean;
  readonly ignore_numbers?: boolean;
  readonly regexes_to_ignore?: readonly string[];
}
interface Squad {
  readonly normalized: readonly string[];
  readonly exactMatch: string;
  readonly f1: string;
  readonly score: { readonly exact_match: number; readonly f1: number };
}
type ExactMatch = { readonly options: EvaluateOptions; readonly each: string; readonly score: number };

const { pairs } = await readGolden<Pairs>("eval-pairs/pairs.json");
const {
  squad,
  accuracy: expectedAccuracy,
  ...exactMatches
} = await readGolden<Record<string, ExactMatch> & { squad: Squad; accuracy: number }>("eval-match/golden.json");
const predictions = pairs.map(([prediction]) => prediction);
const references = pairs.map(([, all]) => all);
const firsts = references.map((all) => all.slice(0, 1));

const each = (metric: Metric<number>, targets: readonly (readonly string[])[]): number[] =>
  predictions.map((prediction, i) => corpusScore(metric, [prediction], [targets[i] ?? []]));

describe("exact match is evaluate's", () => {
  const ours = (options: EvaluateOptions): ExactMatchOptions => ({
    ...(options.ignore_case !== undefined && { ignoreCase: options.ignore_case }),
    ...(options.ignore_punctuation !== undefined && { ignorePunctuation: options.ignore_punctuation }),
    ...(options.ignore_numbers !== undefined && { ignoreNumbers: options.ignore_numbers }),
    ...(options.regexes_to_ignore && {
      ignorePatterns: options.regexes_to_ignore.map((pattern) => new RegExp(pattern, "gu")),
    }),
  });

  test.each(Object.entries(exactMatches))("%s", (_, { options, each: expected, score }) => {
    const metric = exactMatch(ours(options));
    expect(each(metric, firsts).join("")).toBe(expected);
    // one division of the same two whole numbers
    expect(corpusScore(metric, predictions, firsts)).toBe(score);
  });
});

describe("SQuAD's script", () => {
  test("normalises the same", () => {
    expect(predictions.filter((text) => Array.from(text).length < 500).map(normalizeAnswer)).toEqual(squad.normalized);
  });

  test("finds the same exact matches, of several references", () => {
    expect(each(exactMatch({ squad: true }), references).join("")).toBe(squad.exactMatch);
    const score = 100 * corpusScore(exactMatch({ squad: true }), predictions, references);
    expect(Math.abs(score - squad.score.exact_match)).toBeLessThanOrEqual(1e-9);
  });

  test("finds the same F1, of several references", () => {
    expect(differences(each(tokenF1(), references), doubles(squad.f1), 1e-9)).toEqual([]);
    expect(Math.abs(100 * corpusScore(tokenF1(), predictions, references) - squad.score.f1)).toBeLessThanOrEqual(1e-9);
  });
});

test("accuracy is scikit-learn's", () => {
  const label = (text: string) => /[a-z]+/.exec(text.toLowerCase())?.[0] ?? "";
  expect(corpusScore(accuracy({ label }), predictions, firsts)).toBe(expectedAccuracy);
});
