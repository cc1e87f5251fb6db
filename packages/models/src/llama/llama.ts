import type { Linear } from "@ft/nn";
import {
  type Backend,
  checkpoint,
  type FloatDType,
  FtError,
  type Parameter,
  scope,
  type Tensor,
  tensor,
  type WideDType,
} from "@ft/tensor";
import { attention, cachedAttention, embedding, linear, linearCrossEntropy, rmsNorm, slice } from "@ft/tensor/ops";
import type { Batch } from "../batch.ts";
import type { CausalLm, LossOptions } from "../causal-lm.ts";
import type { LlamaConfig } from "../config/llama-config.ts";
import { KvCache } from "../kv-cache.ts";
import type { Attend, Frequencies, Hidden, LlamaBlock, Positions } from "./block.ts";
import { type Projection, projections } from "./names.ts";

type Table = Parameter<FloatDType, readonly ["vocab", "hidden"]>;

export interface LlamaParts {
  readonly embedding: Table;
  readonly blocks: readonly LlamaBlock[];
  readonly norm: Parameter<FloatDType, readonly ["hidden"]>;
  /** the embedding itself when tied */
  readonly head: Table;
  /** [headDim / 2], radians per token */
  readonly frequencies: Frequencies;
}

/** Bytes of logits that may exist at a time while the loss is made. */
const logitsBytes = 48 * 2 ** 20;

/** Llama 2 and 3, SmolLM2, TinyLlama (Touvron et al. 2023): pre-norm blocks, rotary positions, grouped queries, SwiGLU. */
export class Llama implements CausalLm {
  readonly config: LlamaConfig;
  readonly backend: Backend;
  /** what activations are computed in */
  readonly dtype: WideDType;
  readonly #parts: LlamaParts;

  constructor(config: LlamaConfig, backend: Backend, dtype: WideDType, parts: LlamaParts) {
    this.config = config;
    this.backend = backend;
    this.dtype = dtype;
    this.#parts = parts;
  }

  linears(): ReadonlyMap<string, Linear> {
    const found = new Map<string, Linear>();
    for (const [i, block] of this.#parts.blocks.entries())
      for (const { path } of projections) found.set(`model.layers.${i}.${path}`, block.linear(path));
    return found;
  }

  replaceLinear(path: string, replacement: Linear): void {
    const [block, projection] = this.#locate(path);
    const old = block.linear(projection);
    if (old.inFeatures !== replacement.inFeatures || old.outFeatures !== replacement.outFeatures)
      throw new FtError(
        "shape",
        `[model] ${path} is ${old.outFeatures}×${old.inFeatures}, its replacement ${replacement.outFeatures}×${replacement.inFeatures}`,
        "a replacement must have the same size",
      );
    block.replace(projection, replacement);
  }

  parameters(): ReadonlyMap<string, Parameter> {
    const { embedding: table, blocks, norm, head } = this.#parts;
    const named = new Map<string, Parameter>([["model.embed_tokens.weight", table]]);
    for (const [i, block] of blocks.entries()) {
      const at = `model.layers.${i}`;
      named.set(`${at}.input_layernorm.weight`, block.inputNorm);
      for (const { path } of projections)
        for (const [name, value] of block.linear(path).parameters()) named.set(`${at}.${path}.${name}`, value);
      named.set(`${at}.post_attention_layernorm.weight`, block.postAttentionNorm);
    }
    named.set("model.norm.weight", norm);
    if (head !== table) named.set("lm_head.weight", head);
    return named;
  }

  loss(
    batch: Batch,
    { checkpointing = false }: LossOptions = {},
  ): { loss: Tensor<WideDType, readonly []>; count: Tensor<WideDType, readonly []> } {
    const { head } = this.#parts;
    const chunk = Math.max(16, Math.floor(logitsBytes / (4 * this.config.vocabSize)));
    return scope(() => linearCrossEntropy(this.#hidden(batch, checkpointing), head, batch.targets, { chunk }));
  }

  logits(batch: Batch): Tensor<WideDType, readonly ["batch", "seq", "vocab"]> {
    return scope(() => linear(this.#hidden(batch, false), this.#parts.head).as("batch", "seq", "vocab"));
  }

  createCache(batch: number, capacity: number): KvCache {
    if (capacity > this.config.maxPositions)
      throw new FtError(
        "input",
        `[generate] ${capacity} tokens exceed the model's context of ${this.config.maxPositions}`,
        "shorten the prompt or ask for fewer tokens",
      );
    return new KvCache(this.backend, this.config, this.dtype, batch, capacity);
  }

  advance(
    ids: Tensor<"i32", readonly ["batch", "seq"]>,
    cache: KvCache,
  ): Tensor<WideDType, readonly ["batch", "last", "vocab"]> {
    const { embedding: table, blocks, norm, head, frequencies } = this.#parts;
    const [, count = 0] = ids.shape;
    cache.reserve(count);
    const logits = scope(() => {
      const start = cache.start();
      const positions = placesFrom(this.backend, ids.shape, cache.length);
      let x: Hidden = embedding(table, ids, this.dtype);
      for (const [i, block] of blocks.entries()) {
        const attend: Attend = (q, k, v) => {
          const held = cache.write(i, start, k, v);
          return cachedAttention(q, held.k, held.v, start, { scale: this.#scale });
        };
        x = scope(() => ({ x: block.forward(x, positions, frequencies, attend), kept: cache.layer(i) })).x;
      }
      const last = slice(rmsNorm(x, norm, this.config.rmsNormEps), "seq", -1);
      return { y: linear(last, head).as("batch", "last", "vocab"), kept: cache.tensors() };
    }).y;
    cache.commit(count);
    return logits;
  }

  dispose(): void {
    const { embedding: table, blocks, norm, head, frequencies } = this.#parts;
    table.dispose();
    if (head !== table) head.dispose();
    norm.dispose();
    frequencies.dispose();
    for (const block of blocks) block.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  get #scale(): number {
    return this.config.headDim ** -0.5;
  }

  /** Final hidden states. Each block is a scope of its own: what the tape does not keep is freed when the block ends. */
  #hidden(batch: Batch, checkpointing: boolean): Hidden {
    const { embedding: table, blocks, norm, frequencies } = this.#parts;
    const attend: Attend = (q, k, v) => attention(q, k, v, batch.segments, { scale: this.#scale });
    let x: Hidden = embedding(table, batch.tokens, this.dtype);
    for (const block of blocks) {
      const input = x;
      const forward = (h: Hidden): Hidden => block.forward(h, batch.positions, frequencies, attend);
      x = checkpointing ? checkpoint(forward, input) : scope(() => forward(input));
      input.dispose();
    }
    return rmsNorm(x, norm, this.config.rmsNormEps);
  }

  #locate(path: string): [LlamaBlock, Projection] {
    const match = /^model\.layers\.(\d+)\.(.+)$/.exec(path);
    const block = match && this.#parts.blocks[Number(match[1])];
    const projection = match && projections.find((p) => p.path === match[2]);
    if (!block || !projection)
      throw new FtError("missing", `[model] there is no linear layer ${path}`, "linears() lists them");
    return [block, projection.path];
  }
}

/** Positions of new tokens that follow `length` earlier ones, [batch, seq]. */
function placesFrom(backend: Backend, [batch = 0, seq = 0]: readonly number[], length: number): Positions {
  const places = Int32Array.from({ length: batch * seq }, (_, i) => length + (i % seq));
  return tensor(backend, "i32", ["batch", "seq"], [batch, seq], places);
}
