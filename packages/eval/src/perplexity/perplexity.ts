import type { Scoring } from "../metric.ts";
import { perplexityOf } from "./likelihood.ts";

/** Perplexity of many rows, for intervals and paired tests: a row's statistics are [nll, tokens] of its likelihood. Lower is better. */
export function perplexity(): Scoring<number> {
  return {
    name: "perplexity",
    score: (sums) => perplexityOf({ nll: sums[0] ?? Number.NaN, tokens: sums[1] ?? Number.NaN }),
    value: (result) => result,
  };
}
