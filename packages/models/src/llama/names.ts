import type { LlamaConfig } from "../config/llama-config.ts";

/** The seven projections of a block, by their path within it and their GGUF name. */
export const projections = [
  { path: "self_attn.q_proj", gguf: "attn_q" },
  { path: "self_attn.k_proj", gguf: "attn_k" },
  { path: "self_attn.v_proj", gguf: "attn_v" },
  { path: "self_attn.o_proj", gguf: "attn_output" },
  { path: "mlp.gate_proj", gguf: "ffn_gate" },
  { path: "mlp.up_proj", gguf: "ffn_up" },
  { path: "mlp.down_proj", gguf: "ffn_down" },
] as const;

/** One of the seven projections of a block, by its path within it. */
export type Projection = (typeof projections)[number]["path"];

/** The projection whose weight this is, by its Hugging Face name. */
export function projectionOf(name: string): Projection | undefined {
  return projections.find(({ path }) => name.endsWith(`.${path}.weight`))?.path;
}

/** [out, in] of a projection. */
export function projectionShape(config: LlamaConfig, path: Projection): readonly [number, number] {
  const { hiddenSize: hidden, intermediateSize: ff, headDim } = config;
  const attention = config.heads * headDim;
  const keyValue = config.kvHeads * headDim;
  switch (path) {
    case "self_attn.q_proj":
      return [attention, hidden];
    case "self_attn.k_proj":
    case "self_attn.v_proj":
      return [keyValue, hidden];
    case "self_attn.o_proj":
      return [hidden, attention];
    case "mlp.gate_proj":
    case "mlp.up_proj":
      return [ff, hidden];
    case "mlp.down_proj":
      return [hidden, ff];
  }
}

/** Whether a projection carries a bias in this model. */
export function hasBias(config: LlamaConfig, path: Projection): boolean {
  return path.startsWith("self_attn.") ? config.attentionBias : config.mlpBias;
}

/** Every weight of the model by its Hugging Face name, with its shape: what a checkpoint must hold, no more and no less. */
export function parameterShapes(config: LlamaConfig): ReadonlyMap<string, readonly number[]> {
  const { vocabSize, hiddenSize: hidden } = config;
  const shapes = new Map<string, readonly number[]>([["model.embed_tokens.weight", [vocabSize, hidden]]]);
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `model.layers.${layer}`;
    shapes.set(`${at}.input_layernorm.weight`, [hidden]);
    shapes.set(`${at}.post_attention_layernorm.weight`, [hidden]);
    for (const { path } of projections) {
      const shape = projectionShape(config, path);
      shapes.set(`${at}.${path}.weight`, shape);
      if (hasBias(config, path)) shapes.set(`${at}.${path}.bias`, [shape[0]]);
    }
  }
  shapes.set("model.norm.weight", [hidden]);
  if (!config.tieWordEmbeddings) shapes.set("lm_head.weight", [vocabSize, hidden]);
  return shapes;
}

/** The GGUF name of a weight that has this Hugging Face name. */
export function ggufName(name: string): string {
  const layer = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name);
  if (layer) {
    const [, index, path, kind] = layer;
    const norm =
      path === "input_layernorm" ? "attn_norm" : path === "post_attention_layernorm" ? "ffn_norm" : undefined;
    return `blk.${index}.${norm ?? projections.find((p) => p.path === path)?.gguf}.${kind}`;
  }
  if (name === "model.embed_tokens.weight") return "token_embd.weight";
  if (name === "model.norm.weight") return "output_norm.weight";
  return "output.weight";
}
