import { FtError } from "@ft/tensor";

/** How the next token is drawn. Without a temperature, or with 0: the likeliest (greedy). */
export interface SamplingOptions {
  /** divides the scores before the softmax; 0 is greedy */
  readonly temperature?: number;
  /** only the k likeliest tokens; 0 or absent: all */
  readonly topK?: number;
  /** only the likeliest tokens whose probabilities reach p together (Holtzman et al. 2020); 1 or absent: all */
  readonly topP?: number;
}

/** Throws on values outside their range. */
export function checkSampling({ temperature = 0, topK = 0, topP = 1 }: SamplingOptions): void {
  if (!(temperature >= 0 && Number.isFinite(temperature)))
    throw new FtError("config", `[generate] temperature ${temperature}`, "use 0 or more");
  if (!Number.isSafeInteger(topK) || topK < 0)
    throw new FtError("config", `[generate] topK ${topK}`, "use a whole number, 0 for all");
  if (!(topP > 0 && topP <= 1))
    throw new FtError("config", `[generate] topP ${topP}`, "use a number above 0 and up to 1");
}

/** Index of the first largest score. */
export function argmax(scores: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i;
  return best;
}

/**
 * Draws a token from scores [vocab] with one uniform number in [0, 1). Temperature first, then top-k, then top-p, as
 * transformers does; ties are broken by the lower id.
 */
export function sampleToken(scores: ArrayLike<number>, options: SamplingOptions, uniform: number): number {
  const { temperature = 0, topK = 0, topP = 1 } = options;
  if (temperature === 0) return argmax(scores);
  let kept = Array.from({ length: scores.length }, (_, id) => id).sort((a, b) => scores[b]! - scores[a]! || a - b);
  if (topK > 0) kept = kept.slice(0, topK);
  const top = scores[kept[0]!]!;
  const weights = kept.map((id) => Math.exp((scores[id]! - top) / temperature));
  const total = weights.reduce((sum, w) => sum + w, 0);
  let count = kept.length;
  if (topP < 1) {
    let reached = 0;
    count = weights.findIndex((w) => {
      reached += w / total;
      return reached >= topP;
    });
    count = count < 0 ? kept.length : count + 1;
  }
  const nucleus = weights.slice(0, count).reduce((sum, w) => sum + w, 0);
  let left = uniform * nucleus;
  for (let i = 0; i < count; i++) {
    left -= weights[i]!;
    if (left < 0) return kept[i]!;
  }
  return kept[count - 1]!;
}
