import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { golden, sharedData } from "@ft/testing";
import { describe, expect, test } from "vitest";
import { scoreBleu } from "../src/bleu/score.ts";
import { type BleuOptions, type BleuTokenizer, bleu, chrf, corpusScore } from "../src/index.ts";

// Published cases of BLEU and chrF, and two systems of WMT 2017; skipped where `shared/data/eval` is not beside the repository.
const folder = sharedData("eval");

interface BleuCase {
  readonly hypotheses: readonly string[];
  /** [stream][pair] */
  readonly references: readonly (readonly string[])[];
  readonly expected: number;
}
interface Counts {
  readonly statistics: { readonly common: readonly number[]; readonly total: readonly number[] };
  readonly sys_len: number;
  readonly ref_len: number;
  readonly expected: number;
  readonly floor?: number;
}
interface BleuCases {
  readonly raw_bleu: readonly BleuCase[];
  readonly effective_order: readonly BleuCase[];
  readonly corpus_bleu: readonly (BleuCase & {
    readonly kwargs: { readonly tokenize?: BleuTokenizer; readonly smooth_method?: "none" };
  })[];
  readonly offset: readonly (BleuCase & Record<"expected_floor_0.1" | "expected_floor_0.0", number>)[];
  readonly statistics: readonly (BleuCase & { readonly expected_counts_totals: Counts["statistics"] })[];
  readonly scoring: readonly Counts[];
  readonly degenerate_statistics_floor: readonly Counts[];
  readonly max_ngram_order: readonly (Omit<BleuCase, "expected"> & {
    readonly order: number;
    readonly expected: string;
  })[];
}
interface ChrfCase {
  readonly hypotheses: readonly string[];
  readonly references: readonly string[];
  readonly expected: number;
}

const read = <T>(name: string): Promise<T> => golden<T>(new URL(`file://${join(folder ?? "", name)}`));
const score = ({ hypotheses, references }: Omit<BleuCase, "expected">, options: BleuOptions) =>
  corpusScore(
    bleu(options),
    hypotheses,
    hypotheses.map((_, i) => references.flatMap((stream) => stream.slice(i, i + 1))),
  );

describe.skipIf(folder === undefined)("published cases (shared/data/eval)", () => {
  const raw: BleuOptions = { tokenizer: "none", effectiveOrder: true, smoothing: "floor", smoothValue: 0.01 };

  test("BLEU", async () => {
    const cases = await read<BleuCases>("sacrebleu_bleu_cases.json");
    for (const one of [...cases.raw_bleu, ...cases.effective_order])
      expect(score(one, raw).score / 100).toBeCloseTo(one.expected, 8);
    for (const one of cases.corpus_bleu) {
      const { tokenize, smooth_method } = one.kwargs;
      const options = { ...(tokenize && { tokenizer: tokenize }), ...(smooth_method && { smoothing: smooth_method }) };
      // given to seven decimals at most
      expect(score(one, options).score).toBeCloseTo(one.expected, 6);
    }
    for (const one of cases.offset)
      for (const value of ["0.1", "0.0"] as const)
        expect(score(one, { ...raw, smoothValue: Number(value) }).score / 100).toBeCloseTo(
          one[`expected_floor_${value}`],
          8,
        );
    for (const { expected_counts_totals, ...one } of cases.statistics) {
      const { matches, totals } = score(one, raw);
      expect({ common: matches, total: totals }).toEqual(expected_counts_totals);
    }
    for (const { statistics, sys_len, ref_len, expected, floor } of [
      ...cases.scoring,
      ...cases.degenerate_statistics_floor,
    ]) {
      const counts = {
        ...{ matches: statistics.common, totals: statistics.total },
        ...{ systemLength: sys_len, referenceLength: ref_len },
      };
      expect(scoreBleu(counts, "floor", floor ?? 0.01, true).score / 100).toBeCloseTo(expected, 8);
    }
    for (const { order, expected, ...one } of cases.max_ngram_order)
      expect(score(one, { maxOrder: order }).score.toFixed(2)).toBe(expected);
  });

  test("chrF", async () => {
    const cases =
      await read<Record<"corpus" | "effective_order" | "keep_whitespace", readonly ChrfCase[]>>(
        "sacrebleu_chrf_cases.json",
      );
    const kinds = {
      corpus: { beta: 3, epsSmoothing: true },
      effective_order: { beta: 3 },
      keep_whitespace: { beta: 3, whitespace: true },
    };
    for (const [kind, options] of Object.entries(kinds))
      for (const { hypotheses, references, expected } of cases[kind as keyof typeof kinds]) {
        const result = corpusScore(
          chrf(options),
          hypotheses,
          references.map((reference) => [reference]),
        );
        expect(Math.abs(result.score - expected)).toBeLessThanOrEqual(1e-4); // given to four decimals
      }
  });
});

describe.skipIf(folder === undefined)("WMT 2017, English to German (shared/data/eval)", async () => {
  interface Bleu {
    readonly score: number;
    readonly counts: readonly number[];
    readonly totals: readonly number[];
    readonly precisions: readonly number[];
    readonly bp: number;
    readonly sys_len: number;
    readonly ref_len: number;
  }
  type Expected = Record<`bleu_tok_${"13a" | "none" | "intl" | "char"}`, Bleu> & {
    readonly bleu_tok_13a_lowercase: number;
    readonly chrF2: number;
  };
  const systems =
    folder === undefined
      ? {}
      : await read<Record<string, { readonly "sacrebleu_2.6.0": Expected }>>("wmt17_en_de/expected.json");
  const lines = async (name: string) =>
    (await readFile(join(folder ?? "", "wmt17_en_de", name), "utf8")).replace(/\n$/, "").split("\n");

  test.each(Object.entries(systems))("%s", async (name, { "sacrebleu_2.6.0": expected }) => {
    const predictions = await lines(`${name}.txt`);
    const references = (await lines("reference.txt")).map((line) => [line]);
    for (const tokenizer of ["13a", "none", "intl", "char"] as const) {
      const wanted = expected[`bleu_tok_${tokenizer}`];
      const found = corpusScore(bleu({ tokenizer }), predictions, references);
      expect([found.matches, found.totals, found.systemLength, found.referenceLength]).toEqual([
        wanted.counts,
        wanted.totals,
        wanted.sys_len,
        wanted.ref_len,
      ]);
      expect(Math.abs(found.score - wanted.score)).toBeLessThanOrEqual(1e-9);
      expect(Math.abs(found.brevityPenalty - wanted.bp)).toBeLessThanOrEqual(1e-9);
      for (const [i, precision] of found.precisions.entries())
        expect(Math.abs(precision - (wanted.precisions[i] ?? 0))).toBeLessThanOrEqual(1e-9);
    }
    const lower = corpusScore(bleu({ lowercase: true }), predictions, references);
    expect(Math.abs(lower.score - expected.bleu_tok_13a_lowercase)).toBeLessThanOrEqual(1e-9);
    expect(Math.abs(corpusScore(chrf(), predictions, references).score - expected.chrF2)).toBeLessThanOrEqual(1e-9);
  });
});
