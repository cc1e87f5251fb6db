import { type Backend, FtError, type Tensor, tensor, type WideDType, zeros } from "@ft/tensor";
import { updateCache } from "@ft/tensor/ops";
import type { LlamaConfig } from "./config/llama-config.ts";

type Cached = Tensor<WideDType, readonly ["batch", "capacity", "kvHead", "headDim"]>;
type Rows = Tensor<WideDType, readonly ["batch", "seq", "kvHead", "headDim"]>;

/** Keys and values of the tokens seen so far, per layer: [batch, capacity, kvHeads, headDim]. */
export class KvCache implements Disposable {
  readonly batch: number;
  readonly capacity: number;
  readonly #backend: Backend;
  readonly #layers: { k: Cached; v: Cached }[];
  #length = 0;

  constructor(backend: Backend, config: LlamaConfig, dtype: WideDType, batch: number, capacity: number) {
    this.batch = batch;
    this.capacity = capacity;
    this.#backend = backend;
    const shape = [batch, capacity, config.kvHeads, config.headDim];
    const empty = (): Cached => zeros(backend, dtype, ["batch", "capacity", "kvHead", "headDim"], shape);
    this.#layers = Array.from({ length: config.layers }, () => ({ k: empty(), v: empty() }));
  }

  /** tokens held per row */
  get length(): number {
    return this.#length;
  }

  /** Where new tokens go: the same place in every row. */
  start(): Tensor<"i32", readonly ["batch"]> {
    return tensor(this.#backend, "i32", ["batch"], [this.batch], new Int32Array(this.batch).fill(this.#length));
  }

  /** Checks that `count` more tokens fit. */
  reserve(count: number): void {
    if (this.#length + count > this.capacity)
      throw new FtError(
        "input",
        `[cache] ${this.#length} tokens and ${count} more exceed the capacity of ${this.capacity}`,
        "shorten the prompt or ask for fewer tokens",
      );
  }

  /** Writes a layer's new keys and values; the cached tensors it returns stay the cache's. */
  write(layer: number, start: Tensor<"i32", readonly ["batch"]>, k: Rows, v: Rows): { k: Cached; v: Cached } {
    const held = this.#layers[layer];
    if (held === undefined)
      throw new FtError("input", `[cache] there is no layer ${layer}`, "use the cache of this model");
    held.k = updateCache(held.k, k, start);
    held.v = updateCache(held.v, v, start);
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

  /** Counts tokens in after every layer has written them. */
  commit(count: number): void {
    this.#length += count;
  }

  dispose(): void {
    for (const { k, v } of this.#layers.splice(0)) {
      k.dispose();
      v.dispose();
    }
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}
