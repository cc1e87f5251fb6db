import { scope } from "@ft/tensor";
import { type HostBatch, uploadBatch } from "./batch.ts";
import type { CausalLm } from "./causal-lm.ts";

/** Mean loss over every target token of some batches, in nats per token; its exponential is the perplexity. */
export async function meanLoss(model: CausalLm, batches: Iterable<HostBatch>, signal?: AbortSignal): Promise<number> {
  let sum = 0;
  let count = 0;
  for (const batch of batches) {
    // a turn of the event loop, so that a signal can arrive while the backend keeps this thread busy
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
    const result = scope(() => model.loss(uploadBatch(model.backend, batch, model.config.vocabSize)));
    sum += (await result.loss.read())[0] ?? Number.NaN;
    count += (await result.count.read())[0] ?? Number.NaN;
    result.loss.dispose();
    result.count.dispose();
  }
  return sum / count;
}
