import { expect, test } from "vitest";
import { corpusStatistics, type RougeType, rouge } from "../src/index.ts";
import { resampledValues } from "../src/significance/resample.ts";
import { choice, mersenneTwister } from "./numpy-random.ts";
import { type Pairs, readGolden } from "./pairs.ts";

interface Golden {
  readonly seed: number;
  readonly samples: number;
  readonly aggregated: readonly {
    readonly corpus: string;
    readonly stemmer: boolean;
    readonly scores: Readonly<Record<RougeType, number>>;
  }[];
}

const { seed, samples, aggregated } = await readGolden<Golden>("eval-rouge/evaluate.json");
const { pairs, corpora } = await readGolden<Pairs>("eval-pairs/pairs.json");
const types = ["rouge1", "rouge2", "rougeL", "rougeLsum"] as const;

test("draws what NumPy draws", () => {
  const random = mersenneTwister(5489);
  // the generator's published check: its 10,000th number under its own seed
  for (let i = 1; i < 10_000; i++) random();
  expect(random()).toBe(4123659995);
});

// evaluate's aggregated ROUGE is the median of the means of samples, drawn anew for one type after the other
test.each(aggregated)("evaluate's ROUGE of $corpus, stemmer $stemmer", ({ corpus, stemmer, scores }) => {
  const given = (corpora[corpus] ?? []).map((i) => pairs[i]!);
  const random = mersenneTwister(seed);
  const found = types.map((type) => {
    const metric = rouge({ types: [type], stemmer });
    const [predictions, references] = [given.map(([prediction]) => prediction), given.map(([, each]) => each)];
    const rows = corpusStatistics(metric, predictions, references);
    const draw = (): ((i: number) => number) => {
      const indices = choice(random, rows.length, rows.length);
      return (i) => indices[i]!;
    };
    const sorted = resampledValues(metric, rows, samples, draw).sort();
    return (sorted[samples / 2 - 1]! + sorted[samples / 2]!) / 2;
  });
  expect(given.length).toBeGreaterThan(40);
  for (const [at, type] of types.entries()) expect(Math.abs(found[at]! - scores[type]), type).toBeLessThanOrEqual(1e-9);
});
