import { type Backend, FtError, type Tensor, tensor } from "@ft/tensor";

/** A micro-batch on the host, row-major [batch × seq]: what @ft/data makes, or anything of this shape. */
export interface HostBatch {
  readonly batch: number;
  readonly seq: number;
  readonly tokens: Int32Array<ArrayBuffer>;
  /** next token per place; negative: no loss */
  readonly targets: Int32Array<ArrayBuffer>;
  readonly positions: Int32Array<ArrayBuffer>;
  /** tokens attend within equal ids; padding has an id of its own */
  readonly segments: Int32Array<ArrayBuffer>;
}

type Grid = Tensor<"i32", readonly ["batch", "seq"]>;

/** A micro-batch on a backend, each tensor [batch, seq]. */
export interface Batch {
  readonly tokens: Grid;
  readonly targets: Grid;
  readonly positions: Grid;
  readonly segments: Grid;
}

/** Copies a batch to a backend. Every token id must be below `vocabSize`, every target too. */
export function uploadBatch(backend: Backend, host: HostBatch, vocabSize: number): Batch {
  check("tokens", host.tokens, 0, vocabSize);
  check("targets", host.targets, Number.NEGATIVE_INFINITY, vocabSize);
  const grid = (data: Int32Array<ArrayBuffer>): Grid =>
    tensor(backend, "i32", ["batch", "seq"], [host.batch, host.seq], data);
  return {
    tokens: grid(host.tokens),
    targets: grid(host.targets),
    positions: grid(host.positions),
    segments: grid(host.segments),
  };
}

function check(name: string, ids: Int32Array, low: number, high: number): void {
  // by index: an iterator costs several times as much, in every step
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (id < low || id >= high)
      throw new FtError(
        "data",
        `[batch] ${name} hold id ${id}, the model knows ${high} tokens`,
        "use the tokenizer that belongs to the model",
      );
  }
}
