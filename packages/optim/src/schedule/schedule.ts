import { FtError } from "@ft/tensor";
import { checkRange } from "../settings.ts";

/** The learning rate of every step, counted from 1. A function of the step alone, so that a resume needs no state. */
export interface Schedule {
  readonly name: string;
  /** everything the rate depends on: what a checkpoint records */
  readonly settings: { readonly [name: string]: number };
  learningRate(step: number): number;
}

/** What every schedule is told: the peak learning rate, the warm-up and the length, in optimizer steps. */
export interface ScheduleOptions {
  /** the highest rate, reached when the warm-up ends */
  readonly learningRate: number;
  /** optimizer steps of the whole run */
  readonly totalSteps: number;
  /** steps of linear warm-up from 0; 0 */
  readonly warmupSteps?: number;
  /** the same as a share of totalSteps, rounded up; not beside warmupSteps */
  readonly warmupRatio?: number;
  /** the lowest rate after the warm-up, as a share of learningRate; 0 */
  readonly minRatio?: number;
}

/**
 * A schedule from its shape after the warm-up: a share of the rate, given the steps done since and the steps there are.
 * Steps beyond the last get the rate of the end.
 */
export function makeSchedule(
  name: string,
  options: ScheduleOptions,
  shape: (done: number, steps: number) => number,
): Schedule {
  const { learningRate, totalSteps, minRatio = 0 } = options;
  if (options.warmupSteps !== undefined && options.warmupRatio !== undefined)
    throw new FtError("config", `schedule ${name} has both warmupSteps and warmupRatio`, "give one of them");
  const warmupSteps = options.warmupSteps ?? Math.ceil(totalSteps * (options.warmupRatio ?? 0));
  checkRange("learningRate", learningRate);
  checkRange("totalSteps", totalSteps, { min: 1 });
  checkRange("warmupRatio", options.warmupRatio ?? 0, { max: 1 });
  checkRange("warmupSteps", warmupSteps);
  checkRange("minRatio", minRatio, { max: 1 });
  return {
    name,
    settings: { learningRate, totalSteps, warmupSteps, minRatio },
    learningRate(step) {
      const done = step - 1;
      if (done < warmupSteps) return (learningRate * done) / Math.max(1, warmupSteps);
      const steps = Math.max(0, totalSteps - warmupSteps);
      return learningRate * (shape(Math.min(steps, done - warmupSteps), steps) * (1 - minRatio) + minRatio);
    },
  };
}
