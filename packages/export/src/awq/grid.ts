import { FtError, f16ToF32, f32ToF16 } from "@ft/tensor";

/** The 16 values that each group of a weight can have: (q − zero) · step for q from 0 to 15. */
export interface AwqGrid {
  /** one a group, as a file holds them, f16 */
  readonly scales: Uint16Array<ArrayBuffer>;
  /** the same in f32 */
  readonly steps: Float32Array<ArrayBuffer>;
  readonly zeros: Uint8Array<ArrayBuffer>;
}

/** The largest 4-bit integer. */
const most = 15;
/** narrowest range of a group, as AutoAWQ has it: a group of zeros still has a step that f16 can hold */
const narrowest = 1e-5;

/**
 * The asymmetric grids of a weight whose groups are `groupSize` values in a row: 15 steps from the least to the largest, the zero
 * point on the grid. As AutoAWQ's pseudo_quantize_tensor, but for two things: the range always includes 0 (a zero point outside of
 * 0 to 15 would have to be cut off), and integers are found with the step as f16 will hold it. Errors: "numeric" (a step beyond f16).
 */
export function awqGrid(weight: Float32Array, groupSize: number): AwqGrid {
  const groups = weight.length / groupSize;
  const wanted = new Float32Array(groups);
  const lows = new Float32Array(groups);
  for (let group = 0; group < groups; group++) {
    let [low, high] = [0, 0];
    for (let i = group * groupSize; i < (group + 1) * groupSize; i++) {
      const value = weight[i]!;
      if (value < low) low = value;
      else if (value > high) high = value;
    }
    wanted[group] = Math.max(high - low, narrowest) / most;
    lows[group] = low;
  }
  const scales = f32ToF16(wanted);
  const steps = f16ToF32(scales);
  const zeros = new Uint8Array(groups);
  for (let group = 0; group < groups; group++) {
    if (!Number.isFinite(steps[group]))
      throw new FtError(
        "numeric",
        `[awq] group ${group} has a step of ${wanted[group]}`,
        "scales are stored in f16, up to 65,504: the weights are damaged, or the training diverged",
      );
    zeros[group] = Math.min(most, roundEven(-lows[group]! / steps[group]!));
  }
  return { scales, steps, zeros };
}

/** The integers 0 to 15 of a weight on its grid, in the order of the weight. */
export function toGrid(weight: Float32Array, { steps, zeros }: AwqGrid, groupSize: number): Uint8Array<ArrayBuffer> {
  const integers = new Uint8Array(weight.length);
  for (let group = 0; group < steps.length; group++) {
    const [step, zero] = [steps[group]!, zeros[group]!];
    for (let i = group * groupSize; i < (group + 1) * groupSize; i++)
      integers[i] = Math.min(most, Math.max(0, roundEven(weight[i]! / step) + zero));
  }
  return integers;
}

/** What a weight becomes on its grid: (q − zero) · step, into `out`, which may be the weight itself. */
export function roundTo(
  weight: Float32Array,
  { steps, zeros }: AwqGrid,
  groupSize: number,
  out: Float32Array<ArrayBuffer>,
): Float32Array<ArrayBuffer> {
  for (let group = 0; group < steps.length; group++) {
    const [step, zero] = [steps[group]!, zeros[group]!];
    for (let i = group * groupSize; i < (group + 1) * groupSize; i++)
      out[i] = Math.min(most - zero, Math.max(-zero, roundEven(weight[i]! / step))) * step;
  }
  return out;
}

/** To the nearest whole number, a half to the even one, as torch.round: adding 1.5·2^52 leaves no bits for a fraction. */
function roundEven(x: number): number {
  return x + 6755399441055744 - 6755399441055744;
}
