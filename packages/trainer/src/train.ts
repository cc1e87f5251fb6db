import { OptimizerState } from "@ft/optim";
import { type Backend, FtError, Replay } from "@ft/tensor";
import { listCheckpoints, rotate } from "./checkpoint/folder.ts";
import { restore } from "./checkpoint/load.ts";
import type { CheckpointMeta } from "./checkpoint/meta.ts";
import { saveCheckpoint } from "./checkpoint/save.ts";
import type { CheckpointEvent, EndReason, EvalEvent, Evaluation, TrainEvent } from "./events.ts";
import { initialLossScale, lossScaling } from "./loss-scale.ts";
import { checkOptions, type EvaluateOptions, type Inputs, type TrainBatch, type TrainOptions } from "./options.ts";
import { peakMemory } from "./peak-memory.ts";
import { evaluated, initialState, type RunState } from "./run-state.ts";
import { type Held, takeStep } from "./step.ts";
import { countSteps } from "./window.ts";

/**
 * Trains parameters and reports what happens, event by event; stopping to ask for events stops the training.
 * It prints and logs nothing: consumers of the events do. Any failure leaves the newest checkpoint whole.
 * Errors: "config" (options, or a resume under other ones), "exists" (checkpoints of another run), "numeric" (a loss,
 * gradient or weight that is not finite: no step is taken on it), "io" (disk), "format" (all checkpoints damaged).
 */
export async function* train<B extends TrainBatch, I extends Inputs<I> = {}>(
  options: TrainOptions<B, I>,
): AsyncGenerator<TrainEvent, void, undefined> {
  checkOptions(options);
  const { optimizer, parameters, role, optimizerPlacement: placement } = options;
  const slots = new OptimizerState(optimizer, parameters, { ...(role && { role }), ...(placement && { placement }) });
  const recording = new Replay("micro-batch");
  const norm = new Replay("gradient norm");
  try {
    yield* loop(options, { slots, recording, norm });
  } finally {
    recording.dispose();
    norm.dispose();
    slots.dispose();
  }
}

async function* loop<B extends TrainBatch, I extends Inputs<I>>(
  options: TrainOptions<B, I>,
  held: Held,
): AsyncGenerator<TrainEvent, void, undefined> {
  const { slots } = held;
  const { checkpoint, earlyStopping, evaluate, signal } = options;
  const totalSteps = countSteps({ ...options, perEpoch: options.batches.perEpoch });
  const aborted = (): boolean => signal?.aborted === true;
  const beginning: RunState = {
    ...initialState,
    ...(options.lossScale && { lossScale: initialLossScale(options.lossScale) }),
  };
  let state = beginning;
  let savedStep: number | undefined;

  const save = async function* (): AsyncGenerator<CheckpointEvent, void, undefined> {
    const { step, best } = state;
    if (checkpoint === undefined || step === 0 || step === savedStep) return;
    const path = await saveCheckpoint(checkpoint.dir, metaOf(options, state), options.parameters, slots.save());
    savedStep = step;
    await rotate(checkpoint.dir, checkpoint.keep ?? 2, checkpoint.keepBest === false ? undefined : best?.step);
    yield { type: "checkpoint", step, path, best: best?.step === step };
  };

  let warnings: readonly string[] = [];
  let resumedFrom: string | undefined;
  if (checkpoint && options.resume) {
    const restored = await restore(checkpoint.dir, metaOf(options, state), options.parameters, slots);
    state = restored.meta?.state ?? beginning;
    resumedFrom = restored.path;
    savedStep = restored.path === undefined ? undefined : state.step;
    warnings = restored.warnings;
  } else if (checkpoint) await refuseOtherRun(checkpoint.dir);
  await slots.ready();
  yield { type: "start", step: state.step, totalSteps, ...(resumedFrom !== undefined && { resumedFrom }) };
  for (const message of warnings) yield { type: "warning", step: state.step, message };

  for (;;) {
    const { step } = state;
    const finished = step >= totalSteps;
    let bestNow = false;
    let outstanding = false;
    if (evaluate && state.evaluatedAt !== step && isDue(evaluate, step, finished)) {
      const found = aborted() ? undefined : await runEvaluation(evaluate.run, slots, { step, savedStep }, signal);
      outstanding = found === undefined;
      if (found) {
        // The evaluation before the first step is a base line: it is nothing that training reached.
        state = step === 0 ? { ...state, evaluatedAt: 0 } : evaluated(state, found.metrics.loss, earlyStopping);
        bestNow = state.best?.step === step && step > 0;
        yield { type: "eval", step, loss: found.metrics.loss, ...found, best: bestNow };
      }
    }
    const stale = earlyStopping !== undefined && state.stale >= earlyStopping.patience;
    const reason: EndReason | undefined = outstanding
      ? "aborted"
      : finished
        ? "finished"
        : stale
          ? "early-stopping"
          : aborted()
            ? "aborted"
            : undefined;
    const every = checkpoint?.every;
    const keepsBest = bestNow && checkpoint?.keepBest !== false;
    if (reason !== undefined || keepsBest || (every !== undefined && step % every === 0)) yield* save();
    if (reason !== undefined) {
      const best = state.best && { bestStep: state.best.step, bestLoss: state.best.loss };
      yield { type: "end", step, reason, ...best, memory: peakMemory(backendOf(options)) };
      return;
    }
    const stepped = await takeStep(options, held, state, aborted);
    if (stepped === "aborted") continue;
    if (FtError.is(stepped)) {
      // No step was taken, so what is here is the last good state.
      yield* save();
      throw stepped;
    }
    state = stepped.state;
    yield stepped.event;
  }
}

function backendOf<B extends TrainBatch, I extends Inputs<I>>({ parameters }: TrainOptions<B, I>): Backend {
  for (const { backend } of parameters.values()) return backend;
  throw new FtError("config", "there are no parameters to train", "pass the trainable parameters of the model");
}

function isDue({ every, atStart }: EvaluateOptions, step: number, finished: boolean): boolean {
  return step === 0 ? atStart === true : finished || step % every === 0;
}

/** Undefined when the signal cut it short: then it is due again after a resume. */
async function runEvaluation(
  run: (signal: AbortSignal | undefined) => Promise<Evaluation>,
  slots: OptimizerState,
  { step, savedStep }: { readonly step: number; readonly savedStep: number | undefined },
  signal: AbortSignal | undefined,
): Promise<Pick<EvalEvent, "metrics" | "seconds"> | undefined> {
  const started = performance.now();
  let metrics: Evaluation;
  try {
    metrics = await slots.evaluating(() => run(signal));
  } catch (error) {
    if (signal?.aborted) return undefined;
    throw error;
  }
  if (!Number.isFinite(metrics.loss))
    throw new FtError(
      "numeric",
      `the evaluation loss after step ${step} is ${metrics.loss}`,
      step === 0
        ? "look at the held-out rows and at the model's weights"
        : `lower the learning rate and ${savedStep === undefined ? "begin anew" : "resume from the last checkpoint"}, or look at the held-out rows`,
    );
  return { metrics, seconds: (performance.now() - started) / 1000 };
}

function metaOf<B extends TrainBatch, I extends Inputs<I>>(
  options: TrainOptions<B, I>,
  state: RunState,
): CheckpointMeta {
  const { schedule, batches, optimizer, accumulation = 1, clipNorm, identity, lossScale } = options;
  return {
    version: 1,
    state,
    schedule: { name: schedule.name, settings: schedule.settings },
    identity: {
      ...identity,
      optimizer: optimizer.name,
      accumulation,
      "micro-batches per epoch": batches.perEpoch,
      ...(clipNorm !== undefined && { clipNorm }),
      ...(lossScale && { lossScale: Object.values(lossScaling(lossScale)).join(", ") }),
    },
  };
}

async function refuseOtherRun(dir: string): Promise<void> {
  const [newest] = await listCheckpoints(dir);
  if (newest)
    throw new FtError(
      "exists",
      `${newest.path} is a checkpoint of an earlier run`,
      "resume it, or choose another folder",
    );
}
