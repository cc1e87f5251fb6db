/** The shape of SmolLM2-135M. */
export const smollm2 = {
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 8192,
  rope_theta: 100000,
  rms_norm_eps: 1e-5,
  hidden_act: "silu",
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  bos_token_id: 1,
  eos_token_id: 2,
};

/** FLOP a token of a LoRA step without recomputation: what any implementation must do. */
export function loraFlopsPerToken({ config, seq, rank }) {
  const { hidden_size: h, intermediate_size: f, num_hidden_layers: layers, vocab_size: vocab } = config;
  const q = h;
  const kv = (h / config.num_attention_heads) * config.num_key_value_heads;
  const sizes = [
    [q, h],
    [kv, h],
    [kv, h],
    [h, q],
    [f, h],
    [f, h],
    [h, f],
  ];
  const linear = layers * sizes.reduce((sum, [out, into]) => sum + out * into, 0);
  const lora = layers * sizes.reduce((sum, [out, into]) => sum + rank * (out + into), 0);
  // 2 FLOP a weight forward and 2 for the gradient of its input; attention sees half of the positions and its backward
  // has five products for the forward's two; adapters have the gradient of their weights as well.
  return 4 * (linear + vocab * h) + 3.5 * 2 * seq * q * layers + 6 * lora;
}
