import { type Backend, copyInto, type FloatDType, FtError, Replay, run, type Tensor, tensor, zeros } from "@ft/tensor";
import { updateCacheOp } from "@ft/tensor/ops";
import type { LlamaConfig } from "./config/llama-config.ts";

type Cached = Tensor<FloatDType, readonly ["batch", "capacity", "kvHead", "headDim"]>;
type Rows = Tensor<FloatDType, readonly ["batch", "seq", "kvHead", "headDim"]>;

/** Where new tokens stand: all that a step of generation takes from the host beside the ids. */
export interface Places {
  /** how many tokens each row had before */
  readonly start: Tensor<"i32", readonly ["batch"]>;
  readonly positions: Tensor<"i32", readonly ["batch", "seq"]>;
}

/** Keys and values of the tokens seen so far, per layer: [batch, capacity, kvHeads, headDim]. Each row has a length of its own. */
export class KvCache implements Disposable {
  readonly batch: number;
  readonly capacity: number;
  readonly #backend: Backend;
  readonly #layers: { k: Cached; v: Cached }[];
  readonly #lengths: Int32Array<ArrayBuffer>;
  /** one token more for every row, as the backend may have recorded it over this cache: its scores, or the likeliest next */
  readonly replays: { readonly scores: Replay; readonly next: Replay } = {
    scores: new Replay("scores"),
    next: new Replay("token"),
  };

  constructor(backend: Backend, config: LlamaConfig, dtype: FloatDType, batch: number, capacity: number) {
    this.batch = batch;
    this.capacity = capacity;
    this.#backend = backend;
    const shape = [batch, capacity, config.kvHeads, config.headDim];
    const empty = (): Cached => zeros(backend, dtype, ["batch", "capacity", "kvHead", "headDim"], shape);
    this.#layers = Array.from({ length: config.layers }, () => ({ k: empty(), v: empty() }));
    this.#lengths = new Int32Array(batch);
  }

  /** tokens held of the longest row */
  get length(): number {
    return this.#lengths.reduce((most, length) => Math.max(most, length), 0);
  }

  /** Tokens held of each row. */
  lengths(): readonly number[] {
    return [...this.#lengths];
  }

  /** Where `seq` more tokens of every row go. */
  places(seq: number): Places {
    const { batch } = this;
    const positions = Int32Array.from(
      { length: batch * seq },
      (_, i) => (this.#lengths[Math.floor(i / seq)] ?? 0) + (i % seq),
    );
    return {
      start: tensor(this.#backend, "i32", ["batch"], [batch], this.#lengths),
      positions: tensor(this.#backend, "i32", ["batch", "seq"], [batch, seq], positions, { give: true }),
    };
  }

  /** Checks that `count` more tokens of every row fit. */
  reserve(count: number): void {
    if (this.length + count > this.capacity)
      throw new FtError(
        "input",
        `[cache] ${this.length} tokens and ${count} more exceed the capacity of ${this.capacity}`,
        "shorten the prompt or ask for fewer tokens",
      );
  }

  /** Writes a layer's new keys and values; the cached tensors it returns stay the cache's. */
  write(layer: number, start: Tensor<"i32", readonly ["batch"]>, k: Rows, v: Rows): { k: Cached; v: Cached } {
    const held = this.#layers[layer];
    if (held === undefined)
      throw new FtError("input", `[cache] there is no layer ${layer}`, "use the cache of this model");
    held.k = written(held.k, k, start);
    held.v = written(held.v, v, start);
    return held;
  }

  /** A layer's cached tensors: for the result of the scope that wrote them, so that they outlive it. */
  layer(layer: number): readonly Tensor[] {
    const held = this.#layers[layer];
    return held === undefined ? [] : [held.k, held.v];
  }

  /** Every cached tensor, likewise. */
  tensors(): Tensor[] {
    return this.#layers.flatMap(({ k, v }) => [k, v]);
  }

  /** Counts tokens in, row by row, after every layer has written them. */
  commit(counts: readonly number[]): void {
    for (const [row, count] of counts.entries()) this.#lengths[row]! += count;
  }

  dispose(): void {
    for (const replay of Object.values(this.replays)) replay.dispose();
    for (const { k, v } of this.#layers.splice(0)) {
      k.dispose();
      v.dispose();
    }
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The cache with new rows: the same tensor where it was written in place, as it always is where work is recorded. */
function written(cache: Cached, rows: Rows, start: Tensor<"i32", readonly ["batch"]>): Cached {
  const y: Cached = run(updateCacheOp, {
    in: { cache, rows, start },
    attrs: {},
    axes: { y: cache.axes },
    donate: true,
  }).y;
  const { storage } = cache.view;
  if (y.view.storage !== storage && storage.backend.graphs === undefined) {
    cache.dispose();
    return y;
  }
  copyInto(y, cache);
  y.dispose();
  return cache;
}
