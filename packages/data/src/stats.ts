import { countTargets, type Example } from "./encode/example.ts";

/** How a data set looks once tokenised. Lengths are in tokens. */
export interface DataStats {
  readonly examples: number;
  readonly tokens: number;
  readonly targetTokens: number;
  /** targetTokens / tokens. */
  readonly targetShare: number;
  readonly length: LengthStats;
  /** Lengths of what is learnt of each example. */
  readonly targetLength: LengthStats;
  /** Examples that are token for token the same as an earlier one. */
  readonly duplicates: number;
  /** Examples whose end was cut off. */
  readonly truncated: number;
}

/** Smallest, mean, percentiles (nearest rank) and largest of a list of lengths. */
export interface LengthStats {
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly max: number;
}

/** Counts what a data set holds, see `DataStats`. */
export function dataStats(examples: readonly Example[]): DataStats {
  const lengths = examples.map((example) => example.tokens.length);
  const targetLengths = examples.map((example) => countTargets(example.targets));
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const tokens = sum(lengths);
  const targetTokens = sum(targetLengths);
  return {
    examples: examples.length,
    tokens,
    targetTokens,
    targetShare: tokens === 0 ? 0 : targetTokens / tokens,
    length: lengthStats(lengths),
    targetLength: lengthStats(targetLengths),
    duplicates: examples.length - new Set(examples.map((example) => example.tokens.join(" "))).size,
    truncated: examples.filter((example) => example.cut > 0).length,
  };
}

function lengthStats(lengths: readonly number[]): LengthStats {
  const sorted = Float64Array.from(lengths).sort();
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  const mean = sorted.length === 0 ? 0 : sorted.reduce((total, length) => total + length, 0) / sorted.length;
  return { min: rank(0), mean, p50: rank(0.5), p90: rank(0.9), p95: rank(0.95), p99: rank(0.99), max: rank(1) };
}
