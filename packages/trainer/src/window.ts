/** The micro-batches of one optimizer step: `size` of them from number `from` on. */
export interface Window {
  readonly from: number;
  readonly size: number;
}

/** The window that begins at micro-batch `from`; it never reaches into the next epoch. */
export function windowAt(from: number, perEpoch: number, accumulation: number): Window {
  return { from, size: Math.min(accumulation, perEpoch - (from % perEpoch)) };
}

/** Optimizer steps of a whole run: what a schedule's totalSteps must be. A fraction of an epoch is rounded up to a step. */
export function countSteps(of: {
  readonly perEpoch: number;
  readonly accumulation?: number;
  readonly epochs?: number;
  readonly maxSteps?: number;
}): number {
  const { perEpoch, accumulation = 1, epochs = Number.POSITIVE_INFINITY, maxSteps = Number.POSITIVE_INFINITY } = of;
  const stepsPerEpoch = Math.ceil(perEpoch / accumulation);
  const whole = Math.floor(epochs);
  const rest = epochs === whole ? 0 : Math.ceil(((epochs - whole) * perEpoch) / accumulation);
  return Math.min(maxSteps, whole * stepsPerEpoch + rest);
}
