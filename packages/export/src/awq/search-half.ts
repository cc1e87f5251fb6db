import type { Hidden, Projection } from "@ft/models";
import { FtError } from "@ft/tensor";
import type { Half } from "./block-halves.ts";
import { type BlockWeights, linearOf } from "./block-weights.ts";
import type { CalibrationBatch } from "./calibration.ts";
import { clipWeight } from "./clip.ts";
import { divideRows, divideVector, multiplyColumns } from "./fold.ts";
import { divided } from "./input-statistics.ts";
import { type HalfPass, lastOf, passHalf, type Sample } from "./pass-half.ts";
import { type FoundScales, type SearchedWeight, searchScales } from "./search-scales.ts";

/** Everything the search of a block works with; what is uploaded stays as it is. */
export interface BlockSearch extends HalfPass {
  /** the uploaded weights once more, which are changed in place: scales are folded in, weights clipped */
  readonly host: BlockWeights;
  readonly scale: boolean;
  readonly clip: boolean;
}

/** What the search has found for layers that share their inputs. */
export interface AwqScales {
  /** paths within the block: "self_attn.q_proj", … */
  readonly layers: readonly Projection[];
  /** the exponent of the activations in the scales; undefined where rounding alone was best */
  readonly ratio: number | undefined;
  /** Σ (y − ŷ)² / Σ y² of the attention's or feed-forward's output when these layers are quantised so, before clipping */
  readonly error: number;
  /** the same with rounding alone */
  readonly rounded: number;
}

/** Searches one half of a block over the calibration rows, and takes their residual streams past it, unquantised. */
export async function searchHalf(
  search: BlockSearch,
  half: Half,
  batches: readonly CalibrationBatch[],
): Promise<readonly AwqScales[]> {
  const { groupSize, uploaded, host, scale, clip, signal } = search;
  const { block } = uploaded;
  const feeds = linearOf(host, half.feeds);
  const final = linearOf(host, half.last);
  const samples: Sample[] = [];
  try {
    const { inputs, innerInputs } = await passHalf(search, half, batches, samples);
    const find = (layers: readonly Projection[], meanAbs: Float64Array, run: (sample: Sample) => Hidden) =>
      searchScales({
        weights: layers.map((path) => weightUnder(search, path)),
        outputs: samples.map(({ output }) => output),
        run: (i) => run(samples[i]!),
        ...{ meanAbs, groupSize, signal },
      });
    const first = scale
      ? await find(half.first, inputs.meanAbs, ({ normed, batch }) => lastOf(block, half, half.inner(normed, batch)))
      : undefined;
    // with grouped queries v has fewer outputs than o has inputs: there is nothing to fold scales into
    const second =
      scale && feeds.shape[0] === final.shape[1]
        ? await find([half.last], innerInputs.meanAbs, ({ inner }) => lastOf(block, half, inner))
        : undefined;
    if (first) {
      divideVector(host.norms[half.norm], first.scales);
      for (const path of half.first) multiplyColumns(linearOf(host, path), first.scales);
    }
    if (second) {
      divideRows(feeds, second.scales);
      multiplyColumns(final, second.scales);
    }
    if (clip) {
      const { backend } = block.inputNorm;
      const grams = first ? divided(inputs.grams, first.scales) : inputs.grams;
      for (const path of half.clipped) await clipWeight(backend, linearOf(host, path).weight, grams, groupSize);
      const own = second ? divided(innerInputs.grams, second.scales) : innerInputs.grams;
      await clipWeight(backend, final.weight, own, groupSize);
    }
    return [...(first ? [report(half.first, first)] : []), ...(second ? [report([half.last], second)] : [])];
  } finally {
    for (const { normed, inner, output } of samples) for (const held of [normed, inner, output]) held.dispose();
  }
}

function weightUnder({ host, uploaded }: BlockSearch, path: Projection): SearchedWeight {
  const { weight } = linearOf(host, path);
  const held = uploaded.weights.get(path);
  if (held) return { weight, held };
  throw new FtError("missing", `[awq] the block has no ${path}`, "a block of Llama has seven linear layers");
}

function report(layers: readonly Projection[], { ratio, error, rounded }: FoundScales): AwqScales {
  return { layers, ratio, error, rounded };
}
