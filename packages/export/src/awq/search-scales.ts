import type { Hidden } from "@ft/models";
import { FtError, type Parameter, scalar, scope } from "@ft/tensor";
import { add, scale, sumSquares } from "@ft/tensor/ops";
import { awqGrid, roundTo } from "./grid.ts";
import { turn } from "./pass-half.ts";
import { meanWeight, scaleCandidates } from "./scale-candidates.ts";

/** A weight under search: its values, and where the backend has them. */
export interface SearchedWeight {
  /** [out, in] */
  readonly weight: Float32Array<ArrayBuffer>;
  readonly held: Parameter<"f32", readonly ["out", "in"]>;
}

/** What is searched: weights that share their inputs, and the output that their rounding disturbs. */
export interface ScaleSearch {
  readonly weights: readonly SearchedWeight[];
  /** mean |x| of their inputs, [in] */
  readonly meanAbs: Float64Array;
  readonly groupSize: number;
  /** the output with the weights as they are, a tensor for each batch of calibration rows */
  readonly outputs: readonly Hidden[];
  /** the same with the weights that the backend holds */
  readonly run: (batch: number) => Hidden;
  readonly signal: AbortSignal | undefined;
}

/** The scales that disturb the output least. */
export interface FoundScales {
  /** the exponent of the activations; undefined where no scaling was best */
  readonly ratio: number | undefined;
  /** [in] */
  readonly scales: Float32Array<ArrayBuffer>;
  /** Σ (y − ŷ)² / Σ y² of the output with them */
  readonly error: number;
  /** the same with rounding alone */
  readonly rounded: number;
}

/**
 * Tries every candidate: weights times scales are quantised and divided again, which is what they are to inputs that the scales are
 * folded into. Leaves the backend with the weights as they were.
 */
export async function searchScales(search: ScaleSearch): Promise<FoundScales> {
  const { weights, meanAbs, groupSize, outputs, run, signal } = search;
  const means = meanWeight(
    weights.map(({ weight }) => weight),
    meanAbs.length,
    groupSize,
  );
  const negative = outputs.map((y) => scope(() => scale(y, scalar(y.backend, "f32", -1))));
  const errorNow = async (): Promise<number> => {
    let error = 0;
    for (const [i, y] of negative.entries()) {
      using squares = scope(() => sumSquares(add(run(i), y)));
      error += (await squares.read())[0] ?? Number.NaN;
    }
    return error;
  };
  try {
    let energy = 0;
    for (const y of outputs) {
      using squares = sumSquares(y);
      energy += (await squares.read())[0] ?? Number.NaN;
    }
    // a block that adds nothing, such as a pruned one, has no output to compare with
    const relative = (error: number): number => (energy === 0 ? error : error / energy);
    let best = { ratio: undefined as number | undefined, scales: new Float32Array(), error: Number.POSITIVE_INFINITY };
    let rounded = Number.NaN;
    for (const { ratio, scales } of scaleCandidates(meanAbs, means)) {
      await turn(signal);
      for (const { weight, held } of weights) held.write(disturbed(weight, scales, groupSize));
      const error = relative(await errorNow());
      if (ratio === undefined) rounded = error;
      if (error < best.error) best = { ratio, scales, error };
    }
    if (best.error === Number.POSITIVE_INFINITY)
      throw new FtError(
        "numeric",
        "[awq] the outputs for the calibration rows are not finite",
        "check the weights of the model",
      );
    return { ...best, rounded };
  } finally {
    for (const { weight, held } of weights) held.write(weight);
    for (const y of negative) y.dispose();
  }
}

/** What the weight is to its inputs when it is quantised under these scales. */
function disturbed(weight: Float32Array, scales: Float32Array, groupSize: number): Float32Array<ArrayBuffer> {
  const inputs = scales.length;
  const scaled = new Float32Array(weight.length);
  for (let at = 0; at < weight.length; at += inputs)
    for (let c = 0; c < inputs; c++) scaled[at + c] = weight[at + c]! * scales[c]!;
  roundTo(scaled, awqGrid(scaled, groupSize), groupSize, scaled);
  for (let at = 0; at < weight.length; at += inputs) for (let c = 0; c < inputs; c++) scaled[at + c]! /= scales[c]!;
  return scaled;
}
