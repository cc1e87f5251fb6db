import { type Batch, epochBatches } from "@ft/data";
import { type Llama, meanLoss, uploadBatch } from "@ft/models";
import type { AnyOptimizer } from "@ft/optim";
import { countSteps, type TrainEvent, type TrainOptions, train } from "@ft/trainer";
import type { SettledConfig } from "../config/settle.ts";
import { scheduleOf } from "./optimizer.ts";
import { identityOf, type RunRecord } from "./record.ts";
import type { TrainingRows } from "./rows.ts";
import type { Trainables } from "./trainables.ts";

export interface RunParts {
  readonly config: SettledConfig;
  readonly record: RunRecord;
  readonly model: Llama;
  readonly rows: Pick<TrainingRows, "training" | "heldOut">;
  readonly trainables: Trainables;
  readonly optimizer: AnyOptimizer;
  readonly checkpoints: string;
  readonly signal: AbortSignal;
}

/** The events of a run that a configuration describes. */
export function runTraining(parts: RunParts): AsyncGenerator<TrainEvent, void, undefined> {
  return train(trainingOptions(parts));
}

/** How that run is made: a plan takes steps of the same. */
export function trainingOptions({
  config,
  record,
  model,
  rows,
  trainables,
  optimizer,
  checkpoints,
  signal,
}: RunParts): TrainOptions<Batch, ReturnType<typeof uploadBatch>> {
  const { training, heldOut } = rows;
  const { accumulation, epochs, maxSteps, clipNorm, patience, minDelta, keep, resume, checkpointing } = config;
  const { optimizerPlacement, optimizerFolder } = config;
  const length = { ...(maxSteps !== undefined && { maxSteps }), ...(epochs !== undefined && { epochs }) };
  const totalSteps = countSteps({ perEpoch: training.perEpoch, accumulation, ...length });
  const every = config.evalEvery ?? Math.max(1, Math.ceil(totalSteps / 10));
  const { vocabSize } = model.config;
  return {
    parameters: trainables.parameters,
    // apart from the loss, so that a backend that records a step can replay it over the next batch
    upload: (batch) => uploadBatch(model.backend, batch, vocabSize),
    loss: (_, inputs) => model.loss(inputs, { checkpointing }).loss,
    batches: training,
    optimizer,
    optimizerPlacement: optimizerPlacement === "file" ? { file: optimizerFolder ?? config.out } : optimizerPlacement,
    schedule: scheduleOf(config, totalSteps),
    ...length,
    accumulation,
    ...(clipNorm > 0 && { clipNorm }),
    // f16 holds nothing below 6e-8
    ...(config.dtype === "f16" && { lossScale: {} }),
    ...(heldOut && {
      evaluate: {
        every,
        atStart: true,
        async run(aborted: AbortSignal | undefined) {
          trainables.evaluate();
          const loss = await meanLoss(model, epochBatches(heldOut), aborted);
          return { loss, perplexity: Math.exp(loss) };
        },
      },
    }),
    ...(patience !== undefined && { earlyStopping: { patience, minDelta } }),
    checkpoint: { dir: checkpoints, every: config.saveEvery ?? every, keep },
    resume,
    signal,
    identity: identityOf(record),
    beforeMicroBatch: ({ draw }) => trainables.train(draw),
  };
}
