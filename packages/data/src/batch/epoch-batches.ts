import type { Batch } from "./batch.ts";
import type { Batches } from "./batches.ts";

/** Every micro-batch of an epoch, one after the other, made when asked for. */
export function* epochBatches(source: Batches, epoch = 0): Generator<Batch, void, void> {
  for (let i = 0; i < source.perEpoch; i++) yield source.batchAt(epoch * source.perEpoch + i);
}
