import { FtError } from "@ft/tensor";

/** Dynamic loss scaling (Micikevicius et al. 2018), under the names of torch.amp.GradScaler. */
export interface LossScaleOptions {
  /** the first scale; 65,536 */
  readonly initScale?: number;
  /** what the scale is multiplied by after `growthInterval` good steps in a row; 2 */
  readonly growthFactor?: number;
  /** what it is multiplied by after a gradient that is not finite; 0.5 */
  readonly backoffFactor?: number;
  /** 2,000 steps */
  readonly growthInterval?: number;
  /** A gradient that is not finite under this scale, or less, is an error as it is without scaling; 1. */
  readonly minScale?: number;
}

/** Where loss scaling stands; part of a checkpoint. */
export interface LossScaleState {
  readonly scale: number;
  /** steps since the scale last changed */
  readonly good: number;
  /** steps left out so far: the optimizer counts the others */
  readonly skipped: number;
}

const defaults: Required<LossScaleOptions> = {
  initScale: 65_536,
  growthFactor: 2,
  backoffFactor: 0.5,
  growthInterval: 2_000,
  minScale: 1,
};

/** Every option with its value. */
export function lossScaling(options: LossScaleOptions): Required<LossScaleOptions> {
  return { ...defaults, ...options };
}

/** Throws code "config", naming the option, on values out of range. */
export function checkLossScale(options: LossScaleOptions): void {
  const { initScale, growthFactor, backoffFactor, growthInterval, minScale } = lossScaling(options);
  const wrong = (name: string, value: number, hint: string): FtError =>
    new FtError("config", `lossScale.${name} is ${value}`, hint);
  const positive = (value: number): boolean => value > 0 && Number.isFinite(Math.fround(value));
  if (!positive(initScale)) throw wrong("initScale", initScale, "give a number above 0");
  if (!positive(minScale) || minScale > initScale)
    throw wrong("minScale", minScale, `give a number above 0 and up to initScale, ${initScale}`);
  if (!(growthFactor > 1 && Number.isFinite(growthFactor)))
    throw wrong("growthFactor", growthFactor, "give a number above 1");
  if (!(backoffFactor > 0 && backoffFactor < 1))
    throw wrong("backoffFactor", backoffFactor, "give one between 0 and 1");
  if (!Number.isSafeInteger(growthInterval) || growthInterval < 1)
    throw wrong("growthInterval", growthInterval, "give a whole number of at least 1");
}

export function initialLossScale(options: LossScaleOptions): LossScaleState {
  return { scale: lossScaling(options).initScale, good: 0, skipped: 0 };
}

/** After a step whose gradients were finite. */
export function afterGoodStep(state: LossScaleState, options: LossScaleOptions): LossScaleState {
  const { growthFactor, growthInterval } = lossScaling(options);
  const good = state.good + 1;
  if (good < growthInterval) return { ...state, good };
  const grown = state.scale * growthFactor;
  return { ...state, good: 0, scale: grown < largest ? grown : state.scale };
}

/** After a gradient that was not finite; undefined where a smaller scale is not to be tried. */
export function afterOverflow(state: LossScaleState, options: LossScaleOptions): LossScaleState | undefined {
  const { backoffFactor, minScale } = lossScaling(options);
  if (state.scale <= minScale) return undefined;
  return { scale: Math.max(minScale, state.scale * backoffFactor), good: 0, skipped: state.skipped + 1 };
}

/** a count divided by more would come near the end of f32 */
const largest = 2 ** 100;
