import { FtError, philox } from "@ft/tensor";
import { scoreOf } from "../corpus.ts";
import type { Scoring } from "../metric.ts";

/** Rows of statistics, [pair][statistic], as `corpusStatistics` gives them. */
export type StatisticRows = readonly (readonly number[])[];

/** How often to draw, and the start of what is drawn. */
export interface ResamplingOptions {
  /** 1,000 for a bootstrap, 10,000 for randomisation */
  readonly samples?: number;
  /** the same seed gives the same numbers everywhere; 12345 */
  readonly seed?: number;
}

/** Which pair stands at place `i` of a sample, or 0 and 1 for one system and the other: a function of (sample, i) alone. */
export type Draw = (sample: number) => (i: number) => number;

const bootstrapStream = 0x424f_4f54;
const swapStream = 0x5357_4150;
const defaultSeed = 12345;

/** Pairs drawn with replacement. */
export function drawPairs(pairs: number, seed: number = defaultSeed): Draw {
  return (sample) => {
    const uniform = philox(seed, bootstrapStream, sample);
    return (i) => Math.floor(uniform(i) * pairs);
  };
}

/** Either system, as often as the other. */
export function drawSystems(seed: number = defaultSeed): Draw {
  return (sample) => {
    const uniform = philox(seed, swapStream, sample);
    return (i) => (uniform(i) < 0.5 ? 0 : 1);
  };
}

/** The metric's number for each sample of as many pairs as there are. */
export function resampledValues<Result>(
  metric: Scoring<Result>,
  rows: StatisticRows,
  samples: number,
  draw: Draw,
): Float64Array {
  const drawn = new Array<readonly number[]>(rows.length);
  return Float64Array.from({ length: samples }, (_, sample) => {
    const index = draw(sample);
    for (let i = 0; i < rows.length; i++) drawn[i] = rows[index(i)] ?? [];
    return scoreRows(metric, drawn);
  });
}

/** The metric's number for rows of statistics. */
export function scoreRows<Result>(metric: Scoring<Result>, rows: StatisticRows): number {
  return metric.value(scoreOf(metric, rows));
}

/** The number of samples, if it is one. Errors: "config". */
export function checkSamples(samples: number): number {
  if (!Number.isInteger(samples) || samples < 1)
    throw new FtError("config", `[significance] samples is ${samples}`, "give a whole number from 1 up");
  return samples;
}

/** Errors: "input" where two systems have answered a different number of pairs. */
export function checkPaired(baseline: StatisticRows, system: StatisticRows): void {
  if (baseline.length !== system.length)
    throw new FtError(
      "input",
      `[significance] ${baseline.length} pairs of the baseline and ${system.length} of the system`,
      "compare answers to the same questions, in the same order",
    );
}
