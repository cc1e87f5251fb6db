import type { LlamaConfig } from "@ft/models";
import type { RopeScaling } from "@ft/nn";

/** A LlamaConfig as config.json has it, for transformers 4 and 5: for models that came without one. */
export function toHfConfig(config: LlamaConfig): Record<string, unknown> {
  const rope = ropeOf(config.ropeScaling);
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: config.vocabSize,
    hidden_size: config.hiddenSize,
    intermediate_size: config.intermediateSize,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headDim,
    hidden_act: "silu",
    rms_norm_eps: config.rmsNormEps,
    rope_theta: config.ropeTheta,
    rope_scaling: rope.rope_type === "default" ? null : rope,
    rope_parameters: { ...rope, rope_theta: config.ropeTheta },
    tie_word_embeddings: config.tieWordEmbeddings,
    attention_bias: config.attentionBias,
    mlp_bias: config.mlpBias,
    max_position_embeddings: config.maxPositions,
    ...endsOf(config),
  };
}

/** The ids that begin and end texts, as config.json and generation_config.json have them. */
export function endsOf({ bosTokenId, eosTokenIds }: LlamaConfig): Record<string, unknown> {
  return {
    ...(bosTokenId !== undefined && { bos_token_id: bosTokenId }),
    ...(eosTokenIds.length > 0 && { eos_token_id: eosTokenIds.length === 1 ? eosTokenIds[0] : eosTokenIds }),
  };
}

function ropeOf(scaling: RopeScaling): { readonly rope_type: string } & Record<string, unknown> {
  switch (scaling.type) {
    case "default":
      return { rope_type: "default" };
    case "linear":
      return { rope_type: "linear", factor: scaling.factor };
    case "llama3":
      return {
        rope_type: "llama3",
        factor: scaling.factor,
        low_freq_factor: scaling.lowFrequencyFactor,
        high_freq_factor: scaling.highFrequencyFactor,
        original_max_position_embeddings: scaling.originalMaxPositions,
      };
  }
}
