/** A choice of scales by which the channels of a weight are multiplied before it is quantised, and its inputs divided. */
export interface ScaleCandidate {
  /** the exponent α of the activations; undefined for no scaling at all */
  readonly ratio: number | undefined;
  /** [in] */
  readonly scales: Float32Array<ArrayBuffer>;
}

const grid = 20;

/**
 * The scales that are tried: none, and for each ratio α in 0, 1/20, …, 19/20 the channel's mean |x|^α / mean |w|^(1−α), put around 1
 * (AutoAWQ's duo scaling; Lin et al. 2023 have the activations alone). "None" is not among AutoAWQ's: with it the search cannot do
 * worse than plain rounding on its own rows.
 */
export function scaleCandidates(meanAbs: Float64Array, meanWeight: Float64Array): readonly ScaleCandidate[] {
  const candidates: ScaleCandidate[] = [{ ratio: undefined, scales: new Float32Array(meanAbs.length).fill(1) }];
  for (let i = 0; i < grid; i++) {
    const ratio = i / grid;
    const raw = Float64Array.from(meanAbs, (x, c) =>
      Math.max(x ** ratio / (meanWeight[c]! ** (1 - ratio) + 1e-4), 1e-4),
    );
    const middle = Math.sqrt(raw.reduce((a, b) => Math.max(a, b)) * raw.reduce((a, b) => Math.min(a, b)));
    candidates.push({ ratio, scales: Float32Array.from(raw, (s) => finiteOr1(s / middle)) });
  }
  return candidates;
}

function finiteOr1(x: number): number {
  return Number.isFinite(x) && x > 0 ? x : 1;
}

/** Mean over all rows of |w| / max |w| of its group, for each channel, [in]: weights [out, in] that share their inputs. */
export function meanWeight(weights: readonly Float32Array[], inputs: number, groupSize: number): Float64Array {
  const mean = new Float64Array(inputs);
  let rows = 0;
  for (const weight of weights) {
    for (let at = 0; at < weight.length; at += groupSize) {
      let most = 0;
      for (let i = at; i < at + groupSize; i++) most = Math.max(most, Math.abs(weight[i]!));
      for (let i = at; i < at + groupSize; i++) mean[i % inputs]! += Math.abs(weight[i]!) / (most + 1e-6);
    }
    rows += weight.length / inputs;
  }
  return mean.map((sum) => sum / rows);
}
