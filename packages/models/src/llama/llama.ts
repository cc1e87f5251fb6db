import type { Linear } from "@ft/nn";
import {
  type Backend,
  checkpoint,
  type FloatDType,
  FtError,
  type Parameter,
  type Replay,
  scope,
  type Tensor,
  tensor,
  type WideDType,
} from "@ft/tensor";
import {
  argmax,
  attention,
  cachedAttention,
  embedding,
  linear,
  linearCrossEntropy,
  rmsNorm,
  slice,
} from "@ft/tensor/ops";
import type { Batch } from "../batch.ts";
import type { CausalLm, Checkpointing, LossOptions } from "../causal-lm.ts";
import type { LlamaConfig } from "../config/llama-config.ts";
import { KvCache, type Places } from "../kv-cache.ts";
import type { Attend, Frequencies, Hidden, LlamaBlock } from "./block.ts";
import { lastRows } from "./last-rows.ts";
import { type Projection, projections } from "./names.ts";
import { widened } from "./widened.ts";

type Ids = Tensor<"i32", readonly ["batch", "seq"]>;
type Raw = Tensor<FloatDType, readonly ["batch", "last", "vocab"]>;
type Scores = Tensor<WideDType, readonly ["batch", "last", "vocab"]>;
type Next = Tensor<"i32", readonly ["batch", "last"]>;
/** Either of them: what a graph gives has lost its types. */
type Stepped = Tensor<any, any>;
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
  readonly dtype: FloatDType;
  readonly #parts: LlamaParts;

  constructor(config: LlamaConfig, backend: Backend, dtype: FloatDType, parts: LlamaParts) {
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
    return scope(() => this.#logits(this.#hidden(batch, false)));
  }

  *logitPieces(batch: Batch, rows: number): Generator<Tensor<WideDType, readonly ["batch", "seq", "vocab"]>> {
    using hidden = scope(() => this.#hidden(batch, false));
    const [, seq = 0] = hidden.shape;
    for (let start = 0; start < seq; start += rows)
      yield scope(() => this.#logits(slice(hidden, "seq", start, Math.min(seq, start + rows))));
  }

  #logits(hidden: Hidden): Tensor<WideDType, readonly ["batch", "seq", "vocab"]> {
    return widened(linear(hidden, this.#parts.head).as("batch", "seq", "vocab"));
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

  advance(ids: Ids, cache: KvCache, counts?: readonly number[]): Scores {
    return this.#step(ids, cache, counts, cache.replays.scores, widened);
  }

  next(ids: Ids, cache: KvCache, counts?: readonly number[]): Next {
    return this.#step(ids, cache, counts, cache.replays.next, argmax);
  }

  /** One step over the cache, and what `make` makes of its scores. */
  #step(
    ids: Ids,
    cache: KvCache,
    counts: readonly number[] | undefined,
    replay: Replay,
    make: (scores: Raw) => Stepped,
  ): Stepped {
    const [batch = 0, seq = 0] = ids.shape;
    const own = counts ?? new Array<number>(batch).fill(seq);
    checkCounts(own, batch, seq);
    cache.reserve(seq);
    const result = scope(() => {
      const places = cache.places(seq);
      const ragged = own.some((count) => count !== seq) && seq > 1;
      const ends = Int32Array.from(own, (count, row) => row * seq + Math.max(count, 1) - 1);
      const last = ragged ? tensor(this.backend, "i32", ["batch"], [batch], ends, { give: true }) : undefined;
      const y = (): Stepped => make(this.#scores(ids, places, last, cache));
      const one = seq === 1 && this.backend.graphs !== undefined;
      return {
        y: one ? replayed(replay.over(cache.tensors()), [ids, ...Object.values(places)], y) : y(),
        kept: cache.tensors(),
      };
    }).y;
    cache.commit(own);
    return result;
  }

  /** Depends on the host for nothing but shapes: ids, places and `last` are all that differs from token to token. */
  #scores(
    ids: Ids,
    { start, positions }: Places,
    last: Tensor<"i32", readonly ["batch"]> | undefined,
    cache: KvCache,
  ): Raw {
    const { embedding: table, blocks, norm, head, frequencies } = this.#parts;
    let x: Hidden = embedding(table, ids, this.dtype);
    for (const [i, block] of blocks.entries()) {
      const attend: Attend = (q, k, v) => {
        const held = cache.write(i, start, k, v);
        return cachedAttention(q, held.k, held.v, start, { scale: this.#scale });
      };
      x = scope(() => ({ x: block.forward(x, positions, frequencies, attend), kept: cache.layer(i) })).x;
    }
    const ends = last ? lastRows(x, last) : slice(x, "seq", -1);
    return linear(rmsNorm(ends, norm, this.config.rmsNormEps), head).as("batch", "last", "vocab");
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
  #hidden(batch: Batch, checkpointing: Checkpointing): Hidden {
    const { embedding: table, blocks, norm, frequencies } = this.#parts;
    const attend: Attend = (q, k, v) => attention(q, k, v, batch.segments, { scale: this.#scale });
    let x: Hidden = embedding(table, batch.tokens, this.dtype);
    for (const block of blocks) {
      const input = x;
      const forward = (h: Hidden): Hidden => block.forward(h, batch.positions, frequencies, attend);
      const offload = checkpointing === "offload";
      x = checkpointing ? checkpoint(forward, input, { offload }) : scope(() => forward(input));
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

/** The same, recorded by a backend that can: every token of a generation is one more run of one function. */
function replayed(replay: Replay, inputs: readonly Tensor[], fn: () => Stepped): Stepped {
  const { results } = replay.run(inputs, () => new Map([["y", fn()]]));
  const result: Stepped | undefined = results.get("y");
  if (result === undefined) throw new FtError("backend", "[generate] a replay gave no result", "check the backend");
  // a copy, since the next token overwrites it
  return slice(result, "last", 0);
}

function checkCounts(counts: readonly number[], batch: number, seq: number): void {
  const strange = counts.find((count) => !Number.isSafeInteger(count) || count < 0 || count > seq);
  if (counts.length !== batch || strange !== undefined)
    throw new FtError(
      "input",
      `[generate] counts ${counts.join(", ")} for ids of ${batch} rows and ${seq} places`,
      "count the tokens of each row that are not padding",
    );
}
