import { sizeOf } from "@ft/tensor";
import type { GgufValue } from "@ft/weights";
import type { ExportSource } from "../source/export-source.ts";

/** What a .gguf file says of a model's origin. */
export interface GgufOrigin {
  /** what programs show; the source's file or folder name unless given */
  readonly name?: string;
  /** SPDX identifier or the hub's name: "apache-2.0", "llama3.2" */
  readonly license?: string;
  /** an id on the hub that the model was trained from: "meta-llama/Llama-3.2-1B" */
  readonly baseModel?: string;
}

/** The version of ggml's block formats that is written. */
export const quantizationVersion: [string, GgufValue] = ["general.quantization_version", ["u32", 2]];

/** general.* but for what follows from the file's type. */
export function generalMetadata(
  kind: "model" | "adapter",
  { name, license, baseModel }: GgufOrigin,
  sizeLabel: string | undefined,
): [string, GgufValue][] {
  const text = (key: string, value: string | undefined): [string, GgufValue][] =>
    value === undefined || value === "" ? [] : [[`general.${key}`, ["string", value]]];
  return [
    ...text("architecture", "llama"),
    ...text("type", kind),
    ...text("name", name),
    ...text("size_label", sizeLabel),
    ...text("license", license),
    ...baseModelMetadata(baseModel),
  ];
}

function baseModelMetadata(id: string | undefined): [string, GgufValue][] {
  const [, owner, name] = /^([^/]+)\/([^/]+)$/.exec(id ?? "") ?? [];
  if (owner === undefined || name === undefined) return [];
  return [
    ["general.base_model.count", ["u32", 1]],
    ["general.base_model.0.name", ["string", name]],
    ["general.base_model.0.organization", ["string", owner]],
    ["general.base_model.0.repo_url", ["string", `https://huggingface.co/${owner}/${name}`]],
  ];
}

/** llama.*: sizes and constants. Llama 3's rope scaling is not among them, but a tensor. */
export function architectureMetadata({ config }: ExportSource): [string, GgufValue][] {
  const { ropeScaling } = config;
  const count = (key: string, value: number): [string, GgufValue] => [`llama.${key}`, ["u32", value]];
  const real = (key: string, value: number): [string, GgufValue] => [`llama.${key}`, ["f32", value]];
  return [
    count("block_count", config.layers),
    count("context_length", config.maxPositions),
    count("embedding_length", config.hiddenSize),
    count("feed_forward_length", config.intermediateSize),
    count("attention.head_count", config.heads),
    count("attention.head_count_kv", config.kvHeads),
    ...(ropeScaling.type === "linear"
      ? [
          ["llama.rope.scaling.type", ["string", "linear"]] satisfies [string, GgufValue],
          real("rope.scaling.factor", ropeScaling.factor),
        ]
      : []),
    real("rope.freq_base", config.ropeTheta),
    real("attention.layer_norm_rms_epsilon", config.rmsNormEps),
    count("attention.key_length", config.headDim),
    count("attention.value_length", config.headDim),
    count("vocab_size", config.vocabSize),
    count("rope.dimension_count", config.headDim),
  ];
}

/** "135M", "1.2B": the number of weights in at least two digits. */
export function sizeLabel(shapes: Iterable<readonly number[]>): string {
  const total = [...shapes].reduce((sum, shape) => sum + sizeOf(shape), 0);
  const [unit, letter] = total > 1e12 ? [1e12, "T"] : total > 1e9 ? [1e9, "B"] : total > 1e6 ? [1e6, "M"] : [1e3, "K"];
  const scaled = total / unit;
  const digits = scaled < 0.5 ? 0 : String(Math.round(scaled)).length;
  return `${scaled.toFixed(Math.max(0, 2 - digits))}${letter}`;
}
