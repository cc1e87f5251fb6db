import type { LossScaleState } from "./loss-scale.ts";
import type { EarlyStoppingOptions } from "./options.ts";

/** Where a run stands between two optimizer steps, apart from weights and slots. Plain data: it goes into state.json. */
export interface RunState {
  /** optimizer steps done, those left out by loss scaling among them */
  readonly step: number;
  /** micro-batches done: the cursor into the data, and the next dropout draw */
  readonly microBatches: number;
  /** the step of the last evaluation */
  readonly evaluatedAt?: number;
  /** the lowest evaluation loss so far */
  readonly best?: { readonly step: number; readonly loss: number };
  /** the loss of the last improvement by more than minDelta */
  readonly improvedTo?: number;
  /** evaluations since then */
  readonly stale: number;
  /** present under loss scaling */
  readonly lossScale?: LossScaleState;
}

export const initialState: RunState = { step: 0, microBatches: 0, stale: 0 };

/**
 * The state after an evaluation. The best is the lowest loss; patience counts evaluations that did not fall more than
 * minDelta below the last one that did, so that many small improvements add up.
 */
export function evaluated(state: RunState, loss: number, stopping: EarlyStoppingOptions | undefined): RunState {
  const best = state.best === undefined || loss < state.best.loss ? { step: state.step, loss } : state.best;
  const improved = state.improvedTo === undefined || loss < state.improvedTo - (stopping?.minDelta ?? 0);
  return {
    ...state,
    best,
    evaluatedAt: state.step,
    ...(improved ? { improvedTo: loss, stale: 0 } : { stale: state.stale + 1 }),
  };
}
