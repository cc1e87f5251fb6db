export { type CheckpointFolder, checkpointPath, listCheckpoints } from "./checkpoint/folder.ts";
export { loadParameters, newestCheckpoint } from "./checkpoint/load.ts";
export type {
  CheckpointEvent,
  EndEvent,
  EndReason,
  EvalEvent,
  Evaluation,
  StartEvent,
  StepEvent,
  TrainEvent,
  WarningEvent,
} from "./events.ts";
export { type WindowHooks, type WindowResult, windowGradients } from "./gradients.ts";
export { type Consumer, watched } from "./log/consumer.ts";
export { metricsLog } from "./log/metrics.ts";
export { type ProgressOptions, type ProgressStream, progressLog } from "./log/progress.ts";
export { tensorBoardLog } from "./log/tensorboard.ts";
export type { LossScaleOptions, LossScaleState } from "./loss-scale.ts";
export type {
  BatchSource,
  CheckpointOptions,
  EarlyStoppingOptions,
  EvaluateOptions,
  Inputs,
  LossOf,
  MicroBatchAt,
  TrainBatch,
  TrainOptions,
} from "./options.ts";
export { type PeakMemory, peakMemory } from "./peak-memory.ts";
export { type RunDirectory, type RunDirectoryOptions, runDirectory } from "./run-directory.ts";
export { train } from "./train.ts";
export { countSteps } from "./window.ts";
