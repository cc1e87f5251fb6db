import { describe, expect, test } from "vitest";
import { type BleuOptions, bleu, corpusScore, evaluateBleu, sentenceBleu } from "../src/index.ts";
import { differences, doubles, type Pairs, readGolden } from "./pairs.ts";

// Logarithms and powers differ in their last bits between libraries: 1e-9 of 100.
const tolerance = 1e-9;

const { pairs, corpora } = await readGolden<Pairs>("eval-pairs/pairs.json");

interface SacrebleuOptions {
  readonly tokenize?: BleuOptions["tokenizer"];
  readonly smooth_method?: BleuOptions["smoothing"];
  readonly smooth_value?: number;
  readonly effective_order?: boolean;
  readonly lowercase?: boolean;
  readonly max_ngram_order?: number;
}

const ours = (options: SacrebleuOptions): BleuOptions => ({
  ...(options.tokenize !== undefined && { tokenizer: options.tokenize }),
  ...(options.smooth_method !== undefined && { smoothing: options.smooth_method }),
  ...(options.smooth_value !== undefined && { smoothValue: options.smooth_value }),
  ...(options.effective_order !== undefined && { effectiveOrder: options.effective_order }),
  ...(options.lowercase !== undefined && { lowercase: options.lowercase }),
  ...(options.max_ngram_order !== undefined && { maxOrder: options.max_ngram_order }),
});
const chosen = (corpus: string) => (corpora[corpus] ?? []).flatMap((i) => pairs.slice(i, i + 1));
const predictionsOf = (corpus: string) => chosen(corpus).map(([prediction]) => prediction);
const referencesOf = (corpus: string) => chosen(corpus).map(([, references]) => references);

describe("BLEU is sacrebleu's", async () => {
  type Sentences = Record<string, { readonly options: SacrebleuOptions; readonly scores: string }>;
  const sentences = Object.entries(await readGolden<Sentences>("eval-bleu/sentences.json"));

  test("1,054 pairs under 27 settings", () => {
    expect([pairs.length, sentences.length]).toEqual([1054, 27]);
  });

  test.each(sentences)("each pair, %s", (_, { options, scores }) => {
    const found = pairs.map(([prediction, references]) => sentenceBleu(prediction, references, ours(options)).score);
    expect(differences(found, doubles(scores), tolerance)).toEqual([]);
  });

  interface Corpus {
    readonly corpus: string;
    readonly options: SacrebleuOptions;
    readonly signature: string;
    readonly score: number;
    readonly matches: readonly number[];
    readonly totals: readonly number[];
    readonly precisions: readonly number[];
    readonly brevityPenalty: number;
    readonly systemLength: number;
    readonly referenceLength: number;
  }
  const found = Object.values(await readGolden<Record<string, Corpus>>("eval-bleu/corpora.json"));

  test.each(found)("corpus $corpus, $options", ({ corpus, options, signature, ...expected }) => {
    const result = corpusScore(bleu(ours(options)), predictionsOf(corpus), referencesOf(corpus));
    expect(result.signature).toBe(signature);
    expect(result.matches).toEqual(expected.matches);
    expect(result.totals).toEqual(expected.totals);
    expect([result.systemLength, result.referenceLength]).toEqual([expected.systemLength, expected.referenceLength]);
    expect(
      differences(
        [result.score, result.brevityPenalty, ...result.precisions],
        [expected.score, expected.brevityPenalty, ...expected.precisions],
        tolerance,
      ),
    ).toEqual([]);
  });
});

describe("BLEU from 0 to 1 is evaluate's", async () => {
  interface Options {
    readonly smooth?: boolean;
    readonly max_order?: number;
  }
  interface Golden {
    readonly sentences: Record<string, { readonly options: Options; readonly scores: string }>;
    readonly corpora: readonly {
      readonly corpus: string;
      readonly options: Options;
      readonly result: null | {
        readonly bleu: number;
        readonly precisions: readonly number[];
        readonly brevity_penalty: number;
        readonly length_ratio: number;
        readonly translation_length: number;
        readonly reference_length: number;
      };
    }[];
  }
  const { sentences, corpora: found } = await readGolden<Golden>("eval-bleu/evaluate.json");
  const metricOf = ({ smooth, max_order }: Options) =>
    evaluateBleu({ ...(smooth !== undefined && { smooth }), ...(max_order !== undefined && { maxOrder: max_order }) });

  test.each(Object.entries(sentences))("each pair, %s", (_, { options, scores }) => {
    const metric = metricOf(options);
    // -1 where evaluate divides by zero
    const expected = doubles(scores).map((score) => (score === -1 ? 0 : score));
    const result = pairs.map(([prediction, references]) => corpusScore(metric, [prediction], [references]).bleu);
    expect(differences(result, expected, tolerance)).toEqual([]);
  });

  test.each(found)("corpus $corpus, $options", ({ corpus, options, result: expected }) => {
    const result = corpusScore(metricOf(options), predictionsOf(corpus), referencesOf(corpus));
    if (expected === null) {
      expect(result).toMatchObject({ bleu: 0, brevityPenalty: 0, lengthRatio: 0 });
      return;
    }
    expect([result.translationLength, result.referenceLength]).toEqual([
      expected.translation_length,
      expected.reference_length,
    ]);
    expect(
      differences(
        [result.bleu, result.brevityPenalty, result.lengthRatio, ...result.precisions],
        [expected.bleu, expected.brevity_penalty, expected.length_ratio, ...expected.precisions],
        tolerance,
      ),
    ).toEqual([]);
  });
});
