import type { RopeScaling } from "@ft/nn";
import { FtError } from "@ft/tensor";
import { Fields } from "./fields.ts";
import type { LlamaConfig } from "./llama-config.ts";

/** What a GGUF file says beside its metadata: which tensors it has, and the size of the vocabulary. */
export interface GgufFacts {
  readonly tensors: ReadonlySet<string>;
  readonly vocabSize: number;
}

/** GGUF metadata of a llama model to a LlamaConfig. */
export function configFromGguf(
  metadata: ReadonlyMap<string, unknown>,
  file: string,
  { tensors, vocabSize }: GgufFacts,
): LlamaConfig {
  const fields = new Fields(file, metadata);
  const architecture = fields.text("general.architecture");
  if (architecture !== "llama")
    throw new FtError(
      "unsupported",
      `[config] ${file}: architecture "${architecture}" is not supported`,
      'supported: "llama" (Llama 2 and 3, SmolLM2, TinyLlama)',
    );
  const hiddenSize = fields.count("llama.embedding_length");
  const heads = fields.count("llama.attention.head_count");
  const kvHeads = fields.count("llama.attention.head_count_kv", heads);
  if (heads % kvHeads !== 0) throw fields.wrong("llama.attention.head_count_kv", `a divisor of head_count (${heads})`);
  const headDim = fields.count("llama.attention.key_length", hiddenSize / heads);
  const rotated = fields.count("llama.rope.dimension_count", headDim);
  if (rotated !== headDim) throw fields.wrong("llama.rope.dimension_count", `${headDim}, the size of a head`);
  const ends = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];
  return {
    architecture: "llama",
    vocabSize,
    hiddenSize,
    intermediateSize: fields.count("llama.feed_forward_length"),
    layers: fields.count("llama.block_count"),
    heads,
    kvHeads,
    headDim,
    rmsNormEps: fields.positive("llama.attention.layer_norm_rms_epsilon"),
    ropeTheta: fields.positive("llama.rope.freq_base", 10_000),
    ropeScaling: scalingFrom(fields),
    tieWordEmbeddings: !tensors.has("output.weight"),
    attentionBias: tensors.has("blk.0.attn_q.bias"),
    mlpBias: tensors.has("blk.0.ffn_gate.bias"),
    maxPositions: fields.count("llama.context_length"),
    bosTokenId: fields.tokenIds("tokenizer.ggml.bos_token_id")[0],
    eosTokenIds: [...new Set(ends.flatMap((key) => fields.tokenIds(key)))],
  };
}

/** Llama 3's scaling is not in the metadata: rope-from-divisors.ts finds it in the tensor rope_freqs.weight. */
function scalingFrom(fields: Fields): RopeScaling {
  const type = fields.text("llama.rope.scaling.type", "none");
  if (type === "none") return { type: "default" };
  if (type === "linear") return { type, factor: fields.positive("llama.rope.scaling.factor") };
  throw fields.wrong("llama.rope.scaling.type", '"none" or "linear"');
}
