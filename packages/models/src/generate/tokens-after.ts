import type { Tensor } from "@ft/tensor";
import type { CausalLm } from "../causal-lm.ts";
import type { KvCache } from "../kv-cache.ts";
import { type SamplingOptions, sampleToken } from "./sample.ts";

/**
 * The token that each row goes on with; `counts` as advance() takes them. Greedy ones are found where the scores are, so that
 * one number a row is read and not the whole vocabulary; those that are drawn take `uniform(row)`.
 */
export async function tokensAfter(
  model: CausalLm,
  cache: KvCache,
  ids: Tensor<"i32", readonly ["batch", "seq"]>,
  counts: readonly number[] | undefined,
  options: SamplingOptions,
  uniform: (row: number) => number,
): Promise<readonly number[]> {
  if ((options.temperature ?? 0) === 0) {
    using next = model.next(ids, cache, counts);
    return [...(await next.read())];
  }
  using logits = model.advance(ids, cache, counts);
  const scores = await logits.read();
  const { vocabSize } = model.config;
  return Array.from({ length: cache.batch }, (_, row) =>
    // the scores of a row that stands still mean nothing
    counts?.[row] === 0
      ? 0
      : sampleToken(scores.subarray(row * vocabSize, (row + 1) * vocabSize), options, uniform(row)),
  );
}
