// A model of SmolLM2-135M's shape with random weights: speed does not depend on what they are.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configFromHf, parameterShapes } from "@ft/models";
import { f32ToBf16, philoxNormal, sizeOf } from "@ft/tensor";
import { writeSafetensors } from "@ft/weights";

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

/** Writes the model to a folder of its own in the system's place for such; `remove` deletes it. Matrices ~ N(0, 0.02). */
export async function makeModel(config = smollm2) {
  const folder = await mkdtemp(join(tmpdir(), "ft-bench-"));
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  const normal = philoxNormal(0, 0, 0);
  // One block, repeated: 135 million draws would take longer than what is measured. Its length is prime, so that rows differ.
  const block = f32ToBf16(Float32Array.from({ length: 999_983 }, (_, i) => 0.02 * normal(i)));
  const ones = f32ToBf16(Float32Array.of(1));
  const entries = [...parameterShapes(configFromHf(config, "config.json"))].map(([name, shape]) => ({
    name,
    dtype: "bf16",
    shape,
    data: () => repeated(shape.length === 1 ? ones : block, sizeOf(shape)),
  }));
  await writeSafetensors(join(folder, "model.safetensors"), entries);
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

function repeated(block, count) {
  const out = new Uint16Array(count);
  for (let at = 0; at < count; at += block.length) out.set(block.subarray(0, Math.min(block.length, count - at)), at);
  return out;
}

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
