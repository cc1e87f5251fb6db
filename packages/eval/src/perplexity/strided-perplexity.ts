import type { CausalLm } from "@ft/models";
import { FtError } from "@ft/tensor";
import { addLikelihoods, bitsPerByte, bytePerplexity, type Likelihood, perplexityOf } from "./likelihood.ts";
import { rowLikelihood } from "./row-likelihood.ts";

/** How a long text is gone through. */
export interface StridedOptions {
  /** tokens of a window; the model's context when absent */
  readonly maxLength?: number;
  /** tokens by which the window moves on, up to `maxLength`; half of it when absent. Smaller: more context a token, and more time */
  readonly stride?: number;
  /** UTF-8 bytes of the text, for what is counted by bytes */
  readonly bytes?: number;
  readonly signal?: AbortSignal;
}

/** A text under a model. */
export interface Perplexity extends Likelihood {
  /** a token's */
  readonly perplexity: number;
  /** where the number of bytes was given */
  readonly bitsPerByte?: number;
  /** a byte's, where the number of bytes was given */
  readonly bytePerplexity?: number;
}

/**
 * Perplexity of a text of any length, by a window that moves on by `stride` tokens: a window predicts the tokens that those
 * before it did not reach, all others in it are context. A token is predicted once. The first of the text never is, nor,
 * where the stride is the whole window, the first of any window: nothing stands before them. A BOS in front of the text lets
 * all of it be predicted, which counts by bytes assume.
 *
 * As the guide "Perplexity of fixed-length models" of transformers has it, but for its count of tokens: it takes one from
 * each window, also where the window's first token is context and nothing is lost.
 *
 * Errors: "config" for sizes out of range, "input" for a text of less than two tokens.
 */
export async function stridedPerplexity(
  model: CausalLm,
  ids: ArrayLike<number>,
  options: StridedOptions = {},
): Promise<Perplexity> {
  const { maxLength = model.config.maxPositions, bytes, signal } = options;
  const { stride = Math.max(1, Math.floor(maxLength / 2)) } = options;
  check(model, maxLength, stride);
  if (ids.length < 2)
    throw new FtError(
      "input",
      `[perplexity] a text of ${ids.length} tokens`,
      "two are needed: one to predict, one before it",
    );
  let total: Likelihood = { nll: 0, tokens: 0 };
  for (const { begin, first, end } of windows(ids.length, maxLength, stride)) {
    // a turn of the event loop, so that a signal can arrive while the backend keeps this thread busy
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
    const tokens = Array.from({ length: end - begin }, (_, i) => ids[begin + i] ?? 0);
    const targets = tokens.map((_, i) => (begin + i + 1 >= first && begin + i + 1 < end ? (tokens[i + 1] ?? 0) : -100));
    if (targets.some((target) => target >= 0))
      total = addLikelihoods(total, await rowLikelihood(model, { tokens, targets }));
  }
  return {
    ...total,
    perplexity: perplexityOf(total),
    ...(bytes !== undefined && {
      bitsPerByte: bitsPerByte(total, bytes),
      bytePerplexity: bytePerplexity(total, bytes),
    }),
  };
}

/** Windows [begin, end) that predict tokens [first, end). */
function* windows(
  length: number,
  maxLength: number,
  stride: number,
): Generator<{ readonly begin: number; readonly first: number; readonly end: number }, void, void> {
  let first = 0;
  for (let begin = 0; first < length; begin += stride) {
    const end = Math.min(begin + maxLength, length);
    yield { begin, first, end };
    first = end;
  }
}

function check(model: CausalLm, maxLength: number, stride: number): void {
  const { maxPositions } = model.config;
  if (!Number.isSafeInteger(maxLength) || maxLength < 2 || maxLength > maxPositions)
    throw new FtError(
      "config",
      `[perplexity] a window of ${maxLength} tokens`,
      `use a whole number from 2 to the model's context of ${maxPositions}`,
    );
  if (!Number.isSafeInteger(stride) || stride < 1 || stride > maxLength)
    throw new FtError(
      "config",
      `[perplexity] a stride of ${stride} tokens in a window of ${maxLength}`,
      "use a whole number from 1 to the window",
    );
}
