import type { Scoring } from "../metric.ts";
import { type ConfidenceInterval, intervalOf } from "./interval.ts";
import {
  checkPaired,
  checkSamples,
  type Draw,
  drawPairs,
  drawSystems,
  type ResamplingOptions,
  resampledValues,
  type StatisticRows,
  scoreRows,
} from "./resample.ts";

/** Whether a system differs from a baseline by more than chance. */
export interface PairedTest {
  readonly baseline: number;
  readonly system: number;
  /** of the system over the baseline */
  readonly difference: number;
  /** how probable so large a difference, either way, is where the two are equally good; small is significant */
  readonly pValue: number;
}

/** A paired test with the intervals that its samples give. */
export interface PairedBootstrap extends PairedTest {
  readonly baselineInterval: ConfidenceInterval;
  readonly systemInterval: ConfidenceInterval;
}

/**
 * Paired bootstrap test (Koehn, 2004), two-sided, as sacrebleu defines it: how often the difference on resampled pairs lies
 * further above its mean than the difference on all pairs is large.
 * @param baseline statistics of one system's answers, [pair][statistic]
 * @param system those of the other's to the same questions
 * Errors: "input" where these are not as many, or none; "config" for a number of samples that is none.
 */
export function pairedBootstrap<Result>(
  metric: Scoring<Result>,
  baseline: StatisticRows,
  system: StatisticRows,
  options: ResamplingOptions = {},
): PairedBootstrap {
  const samples = checkSamples(options.samples ?? 1000);
  return bootstrapTest(metric, baseline, system, samples, drawPairs(baseline.length, options.seed));
}

/** `pairedBootstrap` with given draws. */
export function bootstrapTest<Result>(
  metric: Scoring<Result>,
  baseline: StatisticRows,
  system: StatisticRows,
  samples: number,
  draw: Draw,
): PairedBootstrap {
  const scores = scorePair(metric, baseline, system);
  const ofBaseline = resampledValues(metric, baseline, samples, draw);
  const ofSystem = resampledValues(metric, system, samples, draw);
  const differences = ofSystem.map((value, i) => Math.abs(value - (ofBaseline[i] ?? 0)));
  const mean = differences.reduce((sum, value) => sum + value, 0) / samples;
  return {
    ...scores,
    pValue: pValueOf(
      differences.map((value) => value - mean),
      scores.difference,
    ),
    baselineInterval: { score: scores.baseline, ...intervalOf(ofBaseline) },
    systemInterval: { score: scores.system, ...intervalOf(ofSystem) },
  };
}

/**
 * Paired approximate randomisation test (Riezler and Maxwell, 2005), two-sided, as sacrebleu defines it: how often the
 * difference grows when answers are swapped between the systems at random; 10,000 trials unless told otherwise.
 * @param baseline statistics of one system's answers, [pair][statistic]
 * @param system those of the other's to the same questions
 * Errors: "input" where these are not as many, or none; "config" for a number of samples that is none.
 */
export function pairedRandomization<Result>(
  metric: Scoring<Result>,
  baseline: StatisticRows,
  system: StatisticRows,
  options: ResamplingOptions = {},
): PairedTest {
  return randomizationTest(
    metric,
    baseline,
    system,
    checkSamples(options.samples ?? 10_000),
    drawSystems(options.seed),
  );
}

/** `pairedRandomization` with given draws: 1 where the first of the shuffled systems has the baseline's answer. */
export function randomizationTest<Result>(
  metric: Scoring<Result>,
  baseline: StatisticRows,
  system: StatisticRows,
  samples: number,
  draw: Draw,
): PairedTest {
  const scores = scorePair(metric, baseline, system);
  const first = new Array<readonly number[]>(baseline.length);
  const second = new Array<readonly number[]>(baseline.length);
  const differences = Float64Array.from({ length: samples }, (_, sample) => {
    const choice = draw(sample);
    for (let i = 0; i < baseline.length; i++) {
      const [one, other] = [baseline[i] ?? [], system[i] ?? []];
      const kept = choice(i) === 1;
      first[i] = kept ? one : other;
      second[i] = kept ? other : one;
    }
    return Math.abs(scoreRows(metric, first) - scoreRows(metric, second));
  });
  return { ...scores, pValue: pValueOf(differences, scores.difference) };
}

function scorePair<Result>(
  metric: Scoring<Result>,
  baseline: StatisticRows,
  system: StatisticRows,
): Omit<PairedTest, "pValue"> {
  checkPaired(baseline, system);
  const [one, other] = [scoreRows(metric, baseline), scoreRows(metric, system)];
  return { baseline: one, system: other, difference: other - one };
}

/** The fraction of samples beyond the difference; one more on either side of it, so that it is never 0. */
function pValueOf(samples: Float64Array, difference: number): number {
  const beyond = samples.reduce((count, value) => count + (value > Math.abs(difference) ? 1 : 0), 0);
  return (beyond + 1) / (samples.length + 1);
}
