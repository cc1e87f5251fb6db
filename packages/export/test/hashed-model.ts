import { configFromHf, type LlamaConfig, parameterShapes } from "@ft/models";
import { sizeOf } from "@ft/tensor";
import type { ExportSource, SourceTensor } from "../src/index.ts";
import { memorySource } from "./memory-source.ts";

/** Sizes as tools/goldens/gguf_files.py names them. */
export interface HashedModel {
  readonly hidden: number;
  readonly ff: number;
  readonly layers: number;
  readonly heads: number;
  readonly kv: number;
  readonly vocab: number;
  readonly tied: boolean;
}

type Extra = Readonly<Record<string, unknown>>;

function hfConfig(model: HashedModel, extra: Extra): Record<string, unknown> {
  return {
    model_type: "llama",
    vocab_size: model.vocab,
    hidden_size: model.hidden,
    intermediate_size: model.ff,
    num_hidden_layers: model.layers,
    num_attention_heads: model.heads,
    num_key_value_heads: model.kv,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: model.tied,
    ...extra,
  };
}

export function hashedConfig(
  model: HashedModel,
  extra: Extra = {},
): {
  readonly config: LlamaConfig;
  readonly shapes: ReadonlyMap<string, SourceTensor>;
} {
  const config = configFromHf(hfConfig(model, extra), "config.json");
  const shapes = [...parameterShapes(config)].map(([name, shape]): [string, SourceTensor] => [
    name,
    { name, shape, dtype: "f32" },
  ]);
  return { config, shapes: new Map(shapes) };
}

/** Numbers in [-1/8, 1/8) by the integer hash of gguf_files.py. */
export function hashedValues(count: number, seed: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, i) => {
    let x = Math.imul(i + seed * 0x10001, 0x9e3779b1);
    x ^= x >>> 15;
    x = Math.imul(x, 0x85ebca77);
    x ^= x >>> 13;
    return ((x >>> 8) / 2 ** 24 - 0.5) / 4;
  });
}

/** Order in which gguf_files.py numbers a layer's weights. */
const order = [
  "input_layernorm",
  "post_attention_layernorm",
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "gate",
  "up",
  "down",
];

/** @param extra of config.json: rope scaling, biases, … */
export function hashedSource(model: HashedModel, extra: Extra = {}): ExportSource {
  const { shapes } = hashedConfig(model, extra);
  const seed = (name: string): number => {
    const layer = /layers\.(\d+)\./.exec(name);
    if (layer) return 1 + Number(layer[1]) * 9 + order.findIndex((part) => name.includes(part));
    return name.includes("embed_tokens") ? 0 : 1 + model.layers * 9 + (name.includes("lm_head") ? 1 : 0);
  };
  const weights = new Map(
    [...shapes].map(([name, { shape }]) => [name, { shape, values: hashedValues(sizeOf(shape), seed(name)) }]),
  );
  return memorySource(weights, hfConfig(model, extra));
}
