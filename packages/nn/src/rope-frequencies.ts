import { FtError } from "@ft/tensor";

/** How the rotary frequencies were changed to reach a longer context. */
export type RopeScaling =
  | { readonly type: "default" }
  /** every frequency divided by `factor` (position interpolation, Chen et al. 2023) */
  | { readonly type: "linear"; readonly factor: number }
  /** Llama 3.1: long wavelengths divided by `factor`, short ones kept, a ramp between */
  | {
      readonly type: "llama3";
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      /** context the model was pretrained with, in tokens */
      readonly originalMaxPositions: number;
    };

/** What the rotary frequencies of a model follow from. */
export interface RopeOptions {
  /** base of the geometric series, 10,000 in the paper */
  readonly theta: number;
  readonly headDim: number;
  readonly scaling?: RopeScaling;
}

/**
 * Inverse frequencies [headDim / 2] in radians per token: theta^(−2i / headDim), scaled. Su et al. 2021; scaling as in
 * transformers' modeling_rope_utils.
 */
export function inverseFrequencies({
  theta,
  headDim,
  scaling = { type: "default" },
}: RopeOptions): Float32Array<ArrayBuffer> {
  if (headDim % 2 !== 0)
    throw new FtError("config", `[rope] head size ${headDim} is odd`, "rotary embeddings need an even head size");
  const base = Float32Array.from({ length: headDim / 2 }, (_, i) => 1 / theta ** ((2 * i) / headDim));
  if (scaling.type === "default") return base;
  if (scaling.type === "linear") return base.map((frequency) => frequency / scaling.factor);

  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions: original } = scaling;
  return base.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < original / high) return frequency;
    if (wavelength > original / low) return frequency / factor;
    const smooth = (original / wavelength - low) / (high - low);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}
