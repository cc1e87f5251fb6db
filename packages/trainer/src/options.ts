import type { AnyOptimizer, Placement, Role, Schedule } from "@ft/optim";
import { FtError, type Parameter, type Tensor, type WideDType } from "@ft/tensor";
import type { Evaluation } from "./events.ts";
import { checkLossScale, type LossScaleOptions } from "./loss-scale.ts";

/** What the loop must know of a micro-batch; everything else in it is between the batch source and the loss. */
export interface TrainBatch {
  /** positions with a loss, known before the forward */
  readonly targetTokens: number;
  /** one entry a position, padding included */
  readonly tokens: { readonly length: number };
  /** 0 marks padding; absent: no padding */
  readonly segments?: ArrayLike<number>;
  /** identities of the examples, for error messages */
  readonly rows: readonly number[];
}

/** Micro-batches by number: any of them at once, so that a resume skips nothing. `batches()` of @ft/data is one. */
export interface BatchSource<B extends TrainBatch> {
  /** micro-batches of an epoch */
  readonly perEpoch: number;
  /** micro-batch `n` from 0, counted through all epochs; always the same for the same `n` */
  batchAt(n: number): B | Promise<B>;
}

/** When and on what to evaluate. */
export interface EvaluateOptions {
  /** optimizer steps between evaluations; there is one more when the run finishes */
  readonly every: number;
  /** also before the first step */
  readonly atStart?: boolean;
  /** Measures the weights as they are. May end early, by any exception, once the signal is aborted. */
  readonly run: (signal: AbortSignal | undefined) => Promise<Evaluation>;
}

/** Where and how often to save. */
export interface CheckpointOptions {
  /** folder of the checkpoints: `dir`/step-000100 */
  readonly dir: string;
  /** optimizer steps between checkpoints; absent: only at the end, when stopped, and for the best */
  readonly every?: number;
  /** how many of the newest are kept; 2 */
  readonly keep?: number;
  /** save and keep the weights of the lowest evaluation loss; true */
  readonly keepBest?: boolean;
}

/** When to give up waiting for a better evaluation. */
export interface EarlyStoppingOptions {
  /** evaluations in a row without improvement */
  readonly patience: number;
  /** by how much the loss must fall below its last improvement to count; 0 */
  readonly minDelta?: number;
}

/** Where in the run a micro-batch stands. */
export interface MicroBatchAt {
  /** the optimizer step that it is part of, from 1 */
  readonly step: number;
  /** its place in the step's window, from 0 */
  readonly micro: number;
  /** its number through the whole run, from 0: what dropout draws with, so that a resumed run draws the same */
  readonly draw: number;
}

/** A micro-batch on the backend, by any names; a Batch of @ft/models is one. */
export type Inputs<I> = { readonly [K in keyof I]: Tensor };

/** How the loss of a micro-batch comes about. */
export interface LossOf<B extends TrainBatch, I extends Inputs<I>> {
  /**
   * The SUM of the token losses of a micro-batch, 0-d. The loop divides it by the target tokens of the whole window. With
   * `upload` it may be recorded on a backend that can, and replayed for later micro-batches of the same shapes: then it
   * depends on nothing but the values of `inputs`, the shapes in `batch`, and tensors whose place never changes, such as
   * weights and the adapters' step.
   */
  readonly loss: (batch: B, inputs: I) => Tensor<WideDType, readonly []>;
  /** Brings a micro-batch to the backend, for the loss to read; the loop frees it. Absent: the loss does it, and gets no inputs. */
  readonly upload?: (batch: B) => I;
}

/** Everything that train() is told. */
export interface TrainOptions<B extends TrainBatch, I extends Inputs<I> = {}> extends LossOf<B, I> {
  /** what is trained, by the checkpoint's own names; the loss holds these very tensors */
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly batches: BatchSource<B>;
  readonly optimizer: AnyOptimizer;
  /** where the optimizer's slots lie between steps: "device" (as if absent), "host", or a file in the folder that is named */
  readonly optimizerPlacement?: Placement;
  readonly schedule: Schedule;
  /** at least one of the two; the run ends with the first that is reached */
  readonly epochs?: number;
  readonly maxSteps?: number;
  /** micro-batches of an optimizer step; 1. The last window of an epoch may be smaller. */
  readonly accumulation?: number;
  /** largest global norm of the gradients; absent: not clipped */
  readonly clipNorm?: number;
  /**
   * Differentiates the loss times a scale, so that small gradients do not vanish in f16, and looks for the largest scale
   * that goes: a step whose gradients are not finite is left out and the scale halved. Absent: such a gradient is an error.
   */
  readonly lossScale?: LossScaleOptions;
  readonly evaluate?: EvaluateOptions;
  readonly earlyStopping?: EarlyStoppingOptions;
  readonly checkpoint?: CheckpointOptions;
  /** continue from the newest checkpoint that verifies */
  readonly resume?: boolean;
  /** Stops before the next micro-batch: the unfinished window is dropped, a checkpoint written, the run ends "aborted". */
  readonly signal?: AbortSignal;
  /** called before each forward: the place to set the dropout step */
  readonly beforeMicroBatch?: (at: MicroBatchAt) => void;
  /** what a resume must find unchanged, such as the seed and hashes of data and base weights */
  readonly identity?: { readonly [name: string]: string | number | boolean };
  readonly role?: (name: string, shape: readonly number[]) => Role;
}

/** Whether small updates of a parameter would be lost in its rounding. */
function swallows(dtype: Parameter["dtype"], { keepsMasters, roundsStochastically }: AnyOptimizer): boolean {
  if (keepsMasters) return false;
  return dtype === "f16" || (dtype === "bf16" && !roundsStochastically);
}

/** Throws code "config", naming the option, when the options contradict each other or are out of range. */
export function checkOptions<B extends TrainBatch, I extends Inputs<I>>(options: TrainOptions<B, I>): void {
  const count = (name: string, value: number | undefined): void => {
    if (value !== undefined && (!Number.isSafeInteger(value) || value < 1))
      throw new FtError("config", `${name} is ${value}`, "give a whole number of at least 1");
  };
  const { parameters, batches, optimizer, evaluate, earlyStopping, checkpoint } = options;
  if (parameters.size === 0)
    throw new FtError("config", "there are no parameters to train", "pass the trainable parameters of the model");
  for (const [name, { dtype }] of parameters)
    if (swallows(dtype, optimizer))
      throw new FtError(
        "config",
        `${name} is ${dtype}: most updates of a fine-tune are smaller than its spacing and would be lost`,
        `train f32 weights, loadModel(path, { backend, weights: "f32" }), or let the optimizer keep f32 masters, withMasterWeights(${optimizer.name})${dtype === "bf16" ? `, or round by chance, withStochasticRounding(${optimizer.name})` : ""}`,
      );
  if (options.upload === undefined && options.loss.length > 1)
    throw new FtError("config", "the loss takes inputs, and nothing uploads them", "give `upload` beside `loss`");
  if (options.maxSteps === undefined && options.epochs === undefined)
    throw new FtError("config", "neither maxSteps nor epochs is given", "say how long to train");
  count("maxSteps", options.maxSteps);
  if (options.epochs !== undefined && !(options.epochs > 0 && options.epochs < Number.POSITIVE_INFINITY))
    throw new FtError("config", `epochs is ${options.epochs}`, "give a number above 0");
  count("accumulation", options.accumulation);
  count("evaluate.every", evaluate?.every);
  count("checkpoint.every", checkpoint?.every);
  count("checkpoint.keep", checkpoint?.keep);
  count("earlyStopping.patience", earlyStopping?.patience);
  if (earlyStopping?.minDelta !== undefined && !(earlyStopping.minDelta >= 0))
    throw new FtError("config", `earlyStopping.minDelta is ${earlyStopping.minDelta}`, "give a number of at least 0");
  if (earlyStopping && !evaluate)
    throw new FtError("config", "earlyStopping without evaluate", "evaluate on held-out rows, or drop earlyStopping");
  if (options.clipNorm !== undefined && !(options.clipNorm > 0))
    throw new FtError("config", `clipNorm is ${options.clipNorm}`, "give a number above 0, or leave it out");
  if (options.lossScale) checkLossScale(options.lossScale);
  if (options.resume && !checkpoint)
    throw new FtError("config", "resume without checkpoint", "say where the checkpoints are");
  if (!Number.isSafeInteger(batches.perEpoch) || batches.perEpoch < 1)
    throw new FtError("data", `an epoch has ${batches.perEpoch} micro-batches`, "give at least one row to train on");
}
