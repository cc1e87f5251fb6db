import type { RopeScaling } from "@ft/nn";
import { FtError } from "@ft/tensor";
import { Fields } from "./fields.ts";
import type { LlamaConfig } from "./llama-config.ts";

/** A Hugging Face config.json (transformers 4 and 5 spell the rotary settings differently) to a LlamaConfig. */
export function configFromHf(json: unknown, file: string): LlamaConfig {
  const fields = Fields.of(file, json);
  const type = fields.text("model_type");
  if (type !== "llama")
    throw new FtError(
      "unsupported",
      `[config] ${file}: model_type "${type}" is not supported`,
      'supported: "llama" (Llama 2 and 3, SmolLM2, TinyLlama)',
    );
  const act = fields.text("hidden_act", "silu");
  if (act !== "silu") throw fields.wrong("hidden_act", '"silu"');

  const hiddenSize = fields.count("hidden_size");
  const heads = fields.count("num_attention_heads");
  const kvHeads = fields.count("num_key_value_heads", heads);
  if (heads % kvHeads !== 0) throw fields.wrong("num_key_value_heads", `a divisor of num_attention_heads (${heads})`);
  if (!fields.has("head_dim") && hiddenSize % heads !== 0)
    throw fields.wrong("hidden_size", `a multiple of num_attention_heads (${heads})`);
  const maxPositions = fields.count("max_position_embeddings", 2048);
  const rope = fields.nested("rope_parameters") ?? fields.nested("rope_scaling");
  return {
    architecture: "llama",
    vocabSize: fields.count("vocab_size"),
    hiddenSize,
    intermediateSize: fields.count("intermediate_size"),
    layers: fields.count("num_hidden_layers"),
    heads,
    kvHeads,
    headDim: fields.count("head_dim", hiddenSize / heads),
    rmsNormEps: fields.positive("rms_norm_eps", 1e-6),
    ropeTheta: rope?.has("rope_theta") ? rope.positive("rope_theta") : fields.positive("rope_theta", 10_000),
    ropeScaling: rope ? scalingFrom(rope, maxPositions) : { type: "default" },
    tieWordEmbeddings: fields.flag("tie_word_embeddings", false),
    attentionBias: fields.flag("attention_bias", false),
    mlpBias: fields.flag("mlp_bias", false),
    maxPositions,
    bosTokenId: fields.tokenIds("bos_token_id")[0],
    eosTokenIds: fields.tokenIds("eos_token_id"),
  };
}

function scalingFrom(rope: Fields, maxPositions: number): RopeScaling {
  const type = rope.text("rope_type", rope.text("type", "default"));
  if (type === "default") return { type };
  const factor = rope.positive("factor");
  if (type === "linear") return { type, factor };
  if (type === "llama3")
    return {
      type,
      factor,
      lowFrequencyFactor: rope.positive("low_freq_factor"),
      highFrequencyFactor: rope.positive("high_freq_factor"),
      originalMaxPositions: rope.count("original_max_position_embeddings", maxPositions),
    };
  throw rope.wrong("rope_type", '"default", "linear" or "llama3"');
}
