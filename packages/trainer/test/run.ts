import { adamw, cosine } from "@ft/optim";
import { type Backend, scope } from "@ft/tensor";
import type { TrainOptions } from "../src/index.ts";
import { type Tiny, type TinyBatch, tinyBatch, tinyBatches, tinyModel, tinyRows } from "./tiny.ts";

const rows = tinyRows(13);
const heldOut = tinyBatch(tinyRows(6, 77), [0, 1, 2, 3, 4, 5]);

export interface Run {
  readonly model: Tiny;
  readonly options: TrainOptions<TinyBatch>;
}

/**
 * A run with everything that a resume could lose: dropout, shuffled epochs of 7 ragged micro-batches, windows of 3 with
 * a partial one at the end of each epoch, moments, a schedule that changes every step, clipping, evaluation, patience.
 */
export function makeRun(backend: Backend, dir: string, maxSteps: number, init = 1, dtype: "f32" | "bf16" = "f32"): Run {
  const model = tinyModel(backend, init, 0.2, dtype);
  const options: TrainOptions<TinyBatch> = {
    parameters: model.parameters,
    loss: model.loss,
    batches: tinyBatches(rows, 2),
    optimizer: adamw({ weightDecay: 0.1, decayVectors: false }),
    schedule: cosine({ learningRate: 0.03, totalSteps: maxSteps, warmupSteps: 4, minRatio: 0.1 }),
    maxSteps,
    accumulation: 3,
    clipNorm: 0.5,
    beforeMicroBatch: ({ draw }) => model.setDraw(draw),
    evaluate: {
      every: 4,
      async run() {
        // Draw 1,000,000: dropout is on here too, but never with a draw of the training.
        model.setDraw(1_000_000);
        const sum = scope(() => model.loss(heldOut));
        const [loss = Number.NaN] = await sum.read();
        sum.dispose();
        return { loss: loss / heldOut.targetTokens };
      },
    },
    earlyStopping: { patience: 100 },
    checkpoint: { dir, keep: 1, keepBest: false },
    identity: { seed: 3 },
  };
  return { model, options };
}
