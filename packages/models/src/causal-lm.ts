import type { LinearHost } from "@ft/nn";
import type { Tensor, WideDType } from "@ft/tensor";
import type { Batch } from "./batch.ts";
import type { LlamaConfig } from "./config/llama-config.ts";
import type { KvCache } from "./kv-cache.ts";

/** Whether activations are recomputed, and where what they are recomputed from is kept. */
export type Checkpointing = boolean | "offload";

/** How the loss of a batch is computed. */
export interface LossOptions {
  /**
   * recompute each block in the backward instead of keeping its activations; "offload" also keeps the inputs of the blocks
   * in the host's memory, on backends that have another
   */
  readonly checkpointing?: Checkpointing;
}

/** A causal language model: what training, generation and adapters need to know of it. */
export interface CausalLm extends LinearHost, Disposable {
  readonly config: LlamaConfig;
  /** Sum of token losses in nats, and the count of targets. */
  loss(
    batch: Batch,
    options?: LossOptions,
  ): { loss: Tensor<WideDType, readonly []>; count: Tensor<WideDType, readonly []> };
  /** Scores of the next token at every place, [batch, seq, vocab]. */
  logits(batch: Batch): Tensor<WideDType, readonly ["batch", "seq", "vocab"]>;
  /**
   * The same, `rows` places of each row at a time and in their order, so that they need not exist at once. Each piece is the
   * caller's to dispose. Not for the inside of scope().
   */
  logitPieces(batch: Batch, rows: number): Generator<Tensor<WideDType, readonly ["batch", "seq", "vocab"]>>;
  /**
   * Scores of the token after the last of `ids`, [batch, 1, vocab]; `cache` gains the ids, which follow what each row holds.
   * Where rows have different lengths, `counts` says how many ids of each are its own, from the left; the rest is padding
   * that leaves no trace. A row with a count of 0 stands still, and its scores mean nothing.
   */
  advance(
    ids: Tensor<"i32", readonly ["batch", "seq"]>,
    cache: KvCache,
    counts?: readonly number[],
  ): Tensor<WideDType, readonly ["batch", "last", "vocab"]>;
  /** The likeliest token after the last of `ids`, the first of equals: argmax of the scores that advance() gives, made where they are. */
  next(
    ids: Tensor<"i32", readonly ["batch", "seq"]>,
    cache: KvCache,
    counts?: readonly number[],
  ): Tensor<"i32", readonly ["batch", "last"]>;
  /** An empty key/value cache for `batch` rows of at most `capacity` tokens. */
  createCache(batch: number, capacity: number): KvCache;
  dispose(): void;
}
