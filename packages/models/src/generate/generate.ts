import { philox, tensor } from "@ft/tensor";
import type { CausalLm } from "../causal-lm.ts";
import { checkPrompt } from "./check-prompt.ts";
import { checkSampling, type SamplingOptions } from "./sample.ts";
import { tokensAfter } from "./tokens-after.ts";

/** How generate() picks tokens and when it stops. */
export interface GenerateOptions extends SamplingOptions {
  /** most tokens to add to the prompt */
  readonly maxNewTokens?: number;
  /** tokens that end the answer, not part of it; the model's own by default */
  readonly stopIds?: readonly number[];
  /** sampling draws from (seed, index of the new token) alone */
  readonly seed?: number;
  readonly signal?: AbortSignal;
}

/** stream of the random numbers that sampling draws from: row r of a batch takes number r */
export const samplingStream = 0x67656e;

/**
 * Continues `prompt`, one token id at a time, over a key/value cache. Ends at a stop id, after maxNewTokens, or where the
 * model's context is full.
 */
export async function* generate(
  model: CausalLm,
  prompt: readonly number[],
  options: GenerateOptions = {},
): AsyncGenerator<number, void, void> {
  const { maxNewTokens = 256, stopIds = model.config.eosTokenIds, seed = 0, signal } = options;
  checkSampling(options);
  checkPrompt(model, prompt);
  const room = model.config.maxPositions - prompt.length;
  const stops = new Set(stopIds);
  const count = Math.min(maxNewTokens, room);
  using cache = model.createCache(1, prompt.length + count);
  let ids: readonly number[] = prompt;
  for (let i = 0; i < count; i++) {
    signal?.throwIfAborted();
    using input = tensor(model.backend, "i32", ["batch", "seq"], [1, ids.length], Int32Array.from(ids));
    const [next] = await tokensAfter(model, cache, input, undefined, options, philox(seed, samplingStream, i));
    if (next === undefined) return;
    if (stops.has(next)) return;
    yield next;
    ids = [next];
  }
}
