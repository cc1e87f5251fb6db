import type { Batches } from "@ft/data";
import { type Llama, uploadBatch } from "@ft/models";
import { scope } from "@ft/tensor";

/** Mean loss over every target token of the held-out rows, in nats, and its perplexity. */
export async function heldOutLoss(
  model: Llama,
  rows: Batches,
  signal?: AbortSignal,
): Promise<{ loss: number; perplexity: number }> {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < rows.perEpoch; i++) {
    signal?.throwIfAborted();
    const batch = rows.batchAt(i);
    const { loss, count: targets } = scope(() => model.loss(uploadBatch(model.backend, batch, model.config.vocabSize)));
    targets.dispose();
    sum += (await loss.read())[0] ?? 0;
    loss.dispose();
    count += batch.targetTokens;
    // a turn of the event loop, so that Ctrl-C arrives
    await new Promise((resolve) => setImmediate(resolve));
  }
  const loss = sum / count;
  return { loss, perplexity: Math.exp(loss) };
}
