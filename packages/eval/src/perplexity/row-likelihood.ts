import { type CausalLm, type HostBatch, uploadBatch } from "@ft/models";
import { FtError, scope } from "@ft/tensor";
import type { Likelihood } from "./likelihood.ts";

/** One tokenised row: `targets[i]` is the token after `tokens[i]`, or negative where it is not to be predicted. Both [sequence]. */
export interface TargetRow {
  readonly tokens: ArrayLike<number>;
  readonly targets: ArrayLike<number>;
}

/**
 * How likely a model finds the targets of a row, of a chat for example its answers. A row is one pass, so that its numbers
 * do not depend on the rows around it; logits never exist as a whole.
 *
 * Errors: "input" where tokens and targets differ in number, there is no target, or the row is longer than the context.
 */
export async function rowLikelihood(model: CausalLm, row: TargetRow): Promise<Likelihood> {
  const { vocabSize, maxPositions } = model.config;
  const { length } = row.tokens;
  if (length !== row.targets.length)
    throw new FtError(
      "input",
      `[perplexity] ${length} tokens with ${row.targets.length} targets`,
      "give each token the one after it, or -100",
    );
  if (length > maxPositions)
    throw new FtError(
      "input",
      `[perplexity] a row of ${length} tokens is longer than the model's context of ${maxPositions}`,
      "cut it, or use stridedPerplexity",
    );
  const host: HostBatch = {
    batch: 1,
    seq: length,
    tokens: Int32Array.from(row.tokens),
    targets: Int32Array.from(row.targets),
    positions: Int32Array.from({ length }, (_, i) => i),
    segments: new Int32Array(length).fill(1),
  };
  if (!host.targets.some((target) => target >= 0))
    throw new FtError("input", "[perplexity] a row has no target", "leave out rows without a token to predict");
  const { loss, count } = scope(() => model.loss(uploadBatch(model.backend, host, vocabSize)));
  try {
    const [nll = Number.NaN] = await loss.read();
    const [tokens = Number.NaN] = await count.read();
    return { nll, tokens };
  } finally {
    loss.dispose();
    count.dispose();
  }
}
