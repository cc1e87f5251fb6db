import { clipFactor, globalNorm, type OptimizerState } from "@ft/optim";
import { FtError, type Replay } from "@ft/tensor";
import type { StepEvent } from "./events.ts";
import { showRows, windowGradients } from "./gradients.ts";
import { afterGoodStep, afterOverflow, type LossScaleState } from "./loss-scale.ts";
import type { Inputs, TrainBatch, TrainOptions } from "./options.ts";
import type { RunState } from "./run-state.ts";
import { windowAt } from "./window.ts";

/** What a run holds beside the parameters. */
export interface Held {
  readonly slots: OptimizerState;
  readonly recording: Replay;
  readonly norm: Replay;
}

/** Where a run stands after a step, and what is told of it. */
export interface Stepped {
  readonly state: RunState;
  readonly event: StepEvent;
}

/** One optimizer step, perhaps one that loss scaling leaves out; or the reason why there is none: then nothing has changed. */
export async function takeStep<B extends TrainBatch, I extends Inputs<I>>(
  options: TrainOptions<B, I>,
  { slots, recording, norm: normReplay }: Held,
  state: RunState,
  aborted: () => boolean,
): Promise<Stepped | FtError | "aborted"> {
  const { batches, parameters, clipNorm } = options;
  const started = performance.now();
  const step = state.step + 1;
  const { scale = 1, skipped = 0 } = state.lossScale ?? {};
  const window = windowAt(state.microBatches, batches.perEpoch, options.accumulation ?? 1);
  const members: B[] = [];
  for (let i = 0; i < window.size; i++) members.push(await batches.batchAt(window.from + i));
  const before = (micro: number): void => options.beforeMicroBatch?.({ step, micro, draw: window.from + micro });
  const result = await windowGradients(parameters, options, members, { before, aborted, recording, scale });
  if (result === undefined) return "aborted";

  const { grads } = result;
  try {
    const bad = result.losses.findIndex((loss) => !Number.isFinite(loss));
    if (bad >= 0) return notFinite(step, `the loss is ${result.losses[bad]}`, members.slice(bad, bad + 1));
    const { norm: scaledNorm, nonFinite } = await globalNorm(grads, normReplay);
    const norm = scaledNorm / scale;
    const overflow = nonFinite.length > 0;
    const lossScale = nextLossScale(options, state, overflow);
    if (overflow && lossScale === undefined)
      return notFinite(step, `the gradient of ${nonFinite.slice(0, 3).join(", ")} is not finite`, members);
    const learningRate = options.schedule.learningRate(step);
    if (!Number.isFinite(learningRate))
      throw new FtError("config", `the learning rate of step ${step} is ${learningRate}`, "check the schedule");
    const clip = clipNorm === undefined ? undefined : clipFactor(norm, clipNorm);
    const gradScale = state.lossScale ? (clip ?? 1) / scale : clip;
    const at = { step: step - skipped, lr: learningRate, ...(gradScale !== undefined && { gradScale }) };
    if (!overflow) await slots.step(grads, at);

    const microBatches = state.microBatches + window.size;
    const seconds = (performance.now() - started) / 1000;
    const tokens = members.reduce((sum, batch) => sum + tokensOf(batch), 0);
    const event: StepEvent = {
      type: "step",
      step,
      epoch: microBatches / batches.perEpoch,
      loss: result.losses.reduce((sum, loss) => sum + loss, 0),
      learningRate,
      gradNorm: norm,
      ...(state.lossScale && { lossScale: scale }),
      ...(overflow && { skipped: true }),
      targetTokens: members.reduce((sum, batch) => sum + batch.targetTokens, 0),
      tokens,
      tokensPerSecond: tokens / seconds,
      seconds,
    };
    return { state: { ...state, step, microBatches, ...(lossScale && { lossScale }) }, event };
  } finally {
    for (const grad of grads.values()) grad.dispose();
  }
}

/** The scale after a step; undefined without one, and where an overflow is an error. */
function nextLossScale<B extends TrainBatch, I extends Inputs<I>>(
  { lossScale: options }: TrainOptions<B, I>,
  { lossScale }: RunState,
  overflow: boolean,
): LossScaleState | undefined {
  if (options === undefined || lossScale === undefined) return undefined;
  return overflow ? afterOverflow(lossScale, options) : afterGoodStep(lossScale, options);
}

function notFinite(step: number, what: string, members: readonly TrainBatch[]): FtError {
  return new FtError(
    "numeric",
    `step ${step}: ${what}, in the batch of rows ${showRows(members)}; the weights are still those of step ${step - 1}`,
    `look at these rows; if they are sound, lower the learning rate or clip the gradients${step > 1 ? ", and resume" : ""}`,
  );
}

function tokensOf({ tokens, segments }: TrainBatch): number {
  if (segments === undefined) return tokens.length;
  let count = 0;
  for (let i = 0; i < segments.length; i++) if (segments[i] !== 0) count++;
  return count;
}
