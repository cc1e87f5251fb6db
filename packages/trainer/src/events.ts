import type { PeakMemory } from "./peak-memory.ts";

/** The first event: where the run begins and where it will end. */
export interface StartEvent {
  readonly type: "start";
  /** optimizer steps done already; above 0 after a resume */
  readonly step: number;
  readonly totalSteps: number;
  /** the checkpoint that the run continues from */
  readonly resumedFrom?: string;
}

/** One optimizer step. */
export interface StepEvent {
  readonly type: "step";
  /** counted from 1 */
  readonly step: number;
  /** epochs done, with the fraction of the current one */
  readonly epoch: number;
  /** sum of token losses over the step's window divided by its target tokens, in nats */
  readonly loss: number;
  readonly learningRate: number;
  /** global norm before clipping, without the loss's scale; not finite where the step was left out */
  readonly gradNorm: number;
  /** the scale that the loss was multiplied with; absent without loss scaling */
  readonly lossScale?: number;
  /** Under that scale a gradient was not finite: nothing was changed but the scale, which is smaller from the next step on. */
  readonly skipped?: true;
  /** positions with a loss */
  readonly targetTokens: number;
  /** positions that are not padding */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  readonly seconds: number;
}

/** What an evaluation found: the loss that decides about the best checkpoint and early stopping, and anything else. */
export interface Evaluation {
  readonly loss: number;
  readonly [metric: string]: number;
}

/** An evaluation has been made. */
export interface EvalEvent {
  readonly type: "eval";
  readonly step: number;
  readonly loss: number;
  /** all that the evaluation returned, the loss among it */
  readonly metrics: Evaluation;
  /** whether this is the lowest loss so far */
  readonly best: boolean;
  readonly seconds: number;
}

/** A checkpoint is on disk. */
export interface CheckpointEvent {
  readonly type: "checkpoint";
  readonly step: number;
  readonly path: string;
  /** whether it holds the weights of the lowest evaluation loss so far */
  readonly best: boolean;
}

/** Something worth knowing that does not stop the run. */
export interface WarningEvent {
  readonly type: "warning";
  readonly step: number;
  readonly message: string;
}

/** Why a run ended: all steps done, no improvement for long enough, or the abort signal. */
export type EndReason = "finished" | "early-stopping" | "aborted";

/** The run is over; the last event. */
export interface EndEvent {
  readonly type: "end";
  readonly step: number;
  readonly reason: EndReason;
  readonly bestStep?: number;
  readonly bestLoss?: number;
  /** the most memory that was held, loading included */
  readonly memory: PeakMemory;
}

/** Everything that happens in a run, in order. Logging, progress bars and files are made from these. */
export type TrainEvent = StartEvent | StepEvent | EvalEvent | CheckpointEvent | WarningEvent | EndEvent;
