// The models that are measured, by name: config.json of each.
import { llama1b } from "./llama-1b.mjs";
import { smollm2 } from "./smollm2.mjs";

/** The shape of Llama-3.1-8B. */
const llama8b = {
  ...llama1b,
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  head_dim: 128,
  rope_scaling: { ...llama1b.rope_scaling, factor: 8 },
  tie_word_embeddings: false,
};

/** The shape of Llama-3.1-70B. */
const llama70b = {
  ...llama8b,
  hidden_size: 8192,
  intermediate_size: 28672,
  num_hidden_layers: 80,
  num_attention_heads: 64,
};

/** Two layers, small enough for a test. */
const toy = {
  ...smollm2,
  vocab_size: 256,
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};

export const shapes = { toy, "135m": smollm2, "1b": llama1b, "8b": llama8b, "70b": llama70b };
