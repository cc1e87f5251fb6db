import { describe, expect, test } from "vitest";
import { type ChrfOptions, chrf, corpusScore } from "../src/index.ts";
import { differences, doubles, type Pairs, readGolden } from "./pairs.ts";

const { pairs, corpora } = await readGolden<Pairs>("eval-pairs/pairs.json");

interface SacrebleuOptions {
  readonly char_order?: number;
  readonly word_order?: number;
  readonly beta?: number;
  readonly lowercase?: boolean;
  readonly whitespace?: boolean;
  readonly eps_smoothing?: boolean;
}

const ours = ({ char_order, word_order, eps_smoothing, ...same }: SacrebleuOptions): ChrfOptions => ({
  ...same,
  ...(char_order !== undefined && { charOrder: char_order }),
  ...(word_order !== undefined && { wordOrder: word_order }),
  ...(eps_smoothing !== undefined && { epsSmoothing: eps_smoothing }),
});

describe("chrF is sacrebleu's", async () => {
  type Sentences = Record<string, { readonly options: SacrebleuOptions; readonly scores: string }>;
  const sentences = Object.entries(await readGolden<Sentences>("eval-chrf/sentences.json"));

  test.each(sentences)("each pair, %s", (_, { options, scores }) => {
    const metric = chrf(ours(options));
    const found = pairs.map(([prediction, references]) => corpusScore(metric, [prediction], [references]).score);
    expect(found.length).toBe(1054);
    expect(differences(found, doubles(scores), 1e-9)).toEqual([]);
  });

  interface Corpus {
    readonly corpus: string;
    readonly options: SacrebleuOptions;
    readonly signature: string;
    readonly score: number;
    readonly variant: string;
  }
  const found = Object.values(await readGolden<Record<string, Corpus>>("eval-chrf/corpora.json"));

  test.each(found)("corpus $corpus, $options", ({ corpus, options, signature, score, variant }) => {
    const chosen = (corpora[corpus] ?? []).flatMap((i) => pairs.slice(i, i + 1));
    const result = corpusScore(
      chrf(ours(options)),
      chosen.map(([prediction]) => prediction),
      chosen.map(([, references]) => references),
    );
    expect(result).toMatchObject({ signature, variant });
    expect(Math.abs(result.score - score)).toBeLessThanOrEqual(1e-9);
  });
});
