import type { RopeScaling } from "@ft/nn";

/** Sizes and constants of a Llama-architecture model (Llama 2 and 3, SmolLM2, TinyLlama), named as the field names them. */
export interface LlamaConfig {
  readonly architecture: "llama";
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  /** equal to `heads` without grouped-query attention */
  readonly kvHeads: number;
  readonly headDim: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling;
  /** the output head is the embedding table */
  readonly tieWordEmbeddings: boolean;
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** longest context, in tokens */
  readonly maxPositions: number;
  readonly bosTokenId: number | undefined;
  /** any of these ends an answer */
  readonly eosTokenIds: readonly number[];
}
