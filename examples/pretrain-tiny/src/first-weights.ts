import { philoxNormal } from "@ft/tensor";
import { type WeightEntry, writeSafetensors } from "@ft/weights";

/** The base model's shape: 1.4 million parameters, 2.9 MB as bf16. */
export const architecture = {
  vocabSize: 1536,
  hiddenSize: 144,
  intermediateSize: 384,
  layers: 6,
  heads: 4,
  kvHeads: 2,
  contextLength: 512,
} as const;

/** config.json of the base model, as transformers 4 and 5 read it. */
export function modelConfig(): object {
  const { vocabSize, hiddenSize, intermediateSize, layers, heads, kvHeads, contextLength } = architecture;
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: vocabSize,
    hidden_size: hiddenSize,
    intermediate_size: intermediateSize,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: hiddenSize / heads,
    max_position_embeddings: contextLength,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    hidden_act: "silu",
    tie_word_embeddings: true,
    attention_bias: false,
    mlp_bias: false,
    pad_token_id: 0,
    eos_token_id: 4,
    bos_token_id: null,
    initializer_range: 0.02,
    dtype: "float32",
    torch_dtype: "float32",
  };
}

/**
 * Writes first weights: normal with deviation 0.02, the projections that end in the residual stream divided by √(2·layers)
 * as in GPT-2, norms 1. They depend on the seed alone.
 */
export async function writeFirstWeights(path: string, seed: number): Promise<void> {
  const { vocabSize, hiddenSize: hidden, intermediateSize: ff, layers, heads, kvHeads } = architecture;
  const keyValue = (hidden / heads) * kvHeads;
  const shapes: [name: string, shape: number[]][] = [["model.embed_tokens.weight", [vocabSize, hidden]]];
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    shapes.push(
      [`${at}.input_layernorm.weight`, [hidden]],
      [`${at}.self_attn.q_proj.weight`, [hidden, hidden]],
      [`${at}.self_attn.k_proj.weight`, [keyValue, hidden]],
      [`${at}.self_attn.v_proj.weight`, [keyValue, hidden]],
      [`${at}.self_attn.o_proj.weight`, [hidden, hidden]],
      [`${at}.post_attention_layernorm.weight`, [hidden]],
      [`${at}.mlp.gate_proj.weight`, [ff, hidden]],
      [`${at}.mlp.up_proj.weight`, [ff, hidden]],
      [`${at}.mlp.down_proj.weight`, [hidden, ff]],
    );
  }
  shapes.push(["model.norm.weight", [hidden]]);
  const entries = shapes.map(([name, shape], stream): WeightEntry<"f32"> => {
    const deviation = /o_proj|down_proj/.test(name) ? 0.02 / Math.sqrt(2 * layers) : 0.02;
    const size = shape.reduce((n, d) => n * d, 1);
    const normal = philoxNormal(seed, stream, 0);
    const value = (i: number): number => (shape.length === 1 ? 1 : deviation * normal(i));
    return { name, dtype: "f32", shape, data: () => Float32Array.from({ length: size }, (_, i) => value(i)) };
  });
  await writeSafetensors(path, entries);
}
