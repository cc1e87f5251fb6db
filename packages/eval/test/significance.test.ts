import { describe, expect, test } from "vitest";
import {
  bleu,
  chrf,
  confidenceInterval,
  corpusStatistics,
  type Metric,
  pairedBootstrap,
  pairedRandomization,
} from "../src/index.ts";
import { bootstrapTest, randomizationTest } from "../src/significance/paired.ts";
import { resampledValues } from "../src/significance/resample.ts";
import { differences, doubles, readGolden } from "./pairs.ts";

interface Result {
  readonly score: number;
  readonly p_value?: number;
  readonly mean?: number;
  readonly ci?: number;
}
interface Tests {
  readonly bs: readonly [Result, Result];
  readonly ar: readonly [Result, Result];
  readonly exact: {
    readonly scores: readonly [number, number];
    readonly pValue: number;
    readonly intervals: readonly { readonly mean: number; readonly halfWidth: number }[];
    readonly values: string;
  };
}
interface Golden {
  readonly samples: number;
  readonly trials: number;
  readonly baseline: readonly string[];
  readonly system: readonly string[];
  readonly references: readonly string[];
  readonly indices: string;
  readonly keeps: string;
  readonly bleu: Tests;
  readonly chrf: Tests;
}

const golden = await readGolden<Golden>("eval-significance/golden.json");
const { samples, trials } = golden;
const pairs = golden.references.length;
const indices = Buffer.from(golden.indices, "base64");
const keeps = Buffer.from(golden.keeps, "base64");
const drawn = (sample: number) => (i: number) => indices[sample * pairs + i] ?? -1;
const kept = (trial: number) => (i: number) => ((keeps[(trial * pairs) / 8 + (i >> 3)] ?? 0) >> (i & 7)) & 1;
const references = golden.references.map((reference) => [reference]);

function onDrawsOfSacrebleu<Result>(metric: Metric<Result>, expected: Tests): void {
  const baseline = corpusStatistics(metric, golden.baseline, references);
  const system = corpusStatistics(metric, golden.system, references);

  test("every resampled score", () => {
    const found = Array.from(resampledValues(metric, system, samples, drawn));
    expect(differences(found, doubles(expected.exact.values), 1e-9)).toEqual([]);
  });

  test("paired bootstrap: p-value, means and half widths", () => {
    const found = bootstrapTest(metric, baseline, system, samples, drawn);
    expect([found.pValue, found.pValue]).toEqual([expected.bs[1].p_value, expected.exact.pValue]);
    const intervals = [found.baselineInterval, found.systemInterval];
    expect(
      differences(
        [found.baseline, found.system, ...intervals.flatMap(({ mean, halfWidth }) => [mean, halfWidth])],
        [...expected.exact.scores, ...expected.exact.intervals.flatMap(({ mean, halfWidth }) => [mean, halfWidth])],
        1e-9,
      ),
    ).toEqual([]);
    // sacrebleu itself adds up and divides in float32: 2e-7 of 100, and some operations of it
    expect(
      differences(
        intervals.flatMap(({ mean, halfWidth }) => [mean, halfWidth]),
        expected.bs.flatMap(({ mean = 0, ci = 0 }) => [mean, ci]),
        1e-4,
      ),
    ).toEqual([]);
  });

  test("approximate randomisation: p-value", () => {
    const found = randomizationTest(metric, baseline, system, trials, kept);
    expect(found.pValue).toBe(expected.ar[1].p_value);
    expect(differences([found.baseline, found.system], [expected.ar[0].score, expected.ar[1].score], 1e-9)).toEqual([]);
  });

  test("own draws agree with sacrebleu's within what chance allows", () => {
    const bootstrap = pairedBootstrap(metric, baseline, system, { samples: 2000, seed: 3 });
    const randomization = pairedRandomization(metric, baseline, system, { samples: 2000, seed: 3 });
    // five standard deviations of a fraction near 0.02 of 200, and of one near 0.007 of 1,000
    expect(Math.abs(bootstrap.pValue - expected.exact.pValue)).toBeLessThan(0.05);
    expect(Math.abs(randomization.pValue - (expected.ar[1].p_value ?? 0))).toBeLessThan(0.014);
    // the half width, some 4, of 200 samples is off by a tenth of itself
    const [, interval = { mean: 0, halfWidth: 0 }] = expected.exact.intervals;
    expect(Math.abs(bootstrap.systemInterval.mean - interval.mean)).toBeLessThan(0.75);
    expect(Math.abs(bootstrap.systemInterval.halfWidth / interval.halfWidth - 1)).toBeLessThan(0.2);
  });
}

describe("BLEU on the draws of sacrebleu", () => onDrawsOfSacrebleu(bleu(), golden.bleu));
describe("chrF++ on the draws of sacrebleu", () => onDrawsOfSacrebleu(chrf({ wordOrder: 2 }), golden.chrf));

describe("seed", () => {
  const metric = bleu();
  const rows = corpusStatistics(metric, golden.system, references);

  test("the same gives the same, another something else", () => {
    const first = confidenceInterval(metric, rows, { samples: 100, seed: 1 });
    expect(confidenceInterval(metric, rows, { samples: 100, seed: 1 })).toEqual(first);
    expect(confidenceInterval(metric, rows, { samples: 100, seed: 2 })).not.toEqual(first);
    expect(confidenceInterval(metric, rows)).toEqual(confidenceInterval(metric, rows, { samples: 1000, seed: 12345 }));
    expect(first.low).toBeLessThan(first.score);
    expect(first.high).toBeGreaterThan(first.score);
  });

  test("the interval is that of the paired test", () => {
    const paired = pairedBootstrap(metric, rows, rows, { samples: 100, seed: 1 });
    expect(paired.systemInterval).toEqual(confidenceInterval(metric, rows, { samples: 100, seed: 1 }));
  });
});

describe("bounds", () => {
  const metric = bleu();
  const rows = corpusStatistics(metric, golden.system, references);

  test("a system beside itself does not differ", () => {
    expect(pairedBootstrap(metric, rows, rows, { samples: 50 })).toMatchObject({ difference: 0, pValue: 1 / 51 });
    expect(pairedRandomization(metric, rows, rows, { samples: 50 })).toMatchObject({ difference: 0, pValue: 1 / 51 });
  });

  test("numbers of pairs and samples are checked", () => {
    expect(() => pairedBootstrap(metric, rows, rows.slice(1))).toThrow("200 pairs of the baseline and 199");
    expect(() => pairedRandomization(metric, rows.slice(1), rows)).toThrow("199 pairs of the baseline and 200");
    expect(() => confidenceInterval(metric, rows, { samples: 0 })).toThrow("samples is 0");
    expect(() => confidenceInterval(metric, [])).toThrow("there are no pairs");
  });
});
