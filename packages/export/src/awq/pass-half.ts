import type { Hidden, LlamaBlock, LlamaConfig } from "@ft/models";
import { scope, type Tensor } from "@ft/tensor";
import { add, rmsNorm } from "@ft/tensor/ops";
import type { Half, Inputs } from "./block-halves.ts";
import type { UploadedBlock } from "./block-weights.ts";
import type { CalibrationBatch } from "./calibration.ts";
import { type InputStatistics, StatisticsOf } from "./input-statistics.ts";

/** A batch that candidates are tried on: what a half of a block makes of it with the weights as they are. */
export interface Sample {
  readonly batch: CalibrationBatch;
  readonly normed: Hidden;
  readonly inner: Inputs;
  readonly output: Hidden;
}

/** The model, and the block at work as it is. */
export interface HalfPass {
  readonly config: LlamaConfig;
  readonly groupSize: number;
  readonly uploaded: UploadedBlock;
  readonly signal: AbortSignal | undefined;
}

/**
 * Takes the residual stream of the batches past a half of a block. Gives what is known of the inputs of its first layers and of its last;
 * adds the batches that are searched to `samples`, whose tensors the caller disposes.
 */
export async function passHalf(
  { config, groupSize, uploaded: { block }, signal }: HalfPass,
  half: Half,
  batches: readonly CalibrationBatch[],
  samples: Sample[],
): Promise<{ readonly inputs: InputStatistics; readonly innerInputs: InputStatistics }> {
  const norm = half.norm === "input_layernorm" ? block.inputNorm : block.postAttentionNorm;
  const before = new StatisticsOf(config.hiddenSize, groupSize);
  const between = new StatisticsOf(block.linear(half.last).inFeatures, groupSize);
  for (const batch of batches) {
    await turn(signal);
    const { after, ...made } = scope(() => {
      const normed = rmsNorm(batch.x, norm, config.rmsNormEps);
      const inner = half.inner(normed, batch);
      const output = lastOf(block, half, inner);
      return { normed, inner, output, after: add(batch.x, output) };
    });
    batch.x.dispose();
    batch.x = after;
    try {
      await before.add(made.normed);
      await between.add(made.inner);
    } finally {
      if (batch.searched) samples.push({ batch, ...made });
      else for (const held of Object.values<Tensor>(made)) held.dispose();
    }
  }
  return { inputs: before.result(), innerInputs: between.result() };
}

/** What the half adds to the residual stream, of the inputs of its last layer. */
export function lastOf(block: LlamaBlock, half: Half, inner: Inputs): Hidden {
  return block.linear(half.last).apply(inner).as("batch", "seq", "hidden");
}

/** A turn of the event loop, so that a signal can arrive while the backend keeps this thread busy. */
export async function turn(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  signal?.throwIfAborted();
}
