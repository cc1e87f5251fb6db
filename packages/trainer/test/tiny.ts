import type { Backend, FloatDType, Parameter, Tensor, WideDType } from "@ft/tensor";
import { f32ToBf16, parameter, philox, philoxNormal, philoxPermutation, scalar, tensor } from "@ft/tensor";
import { dropout, embedding, linear, linearCrossEntropy } from "@ft/tensor/ops";
import type { BatchSource, LossOf, TrainBatch } from "../src/index.ts";

export const vocab = 12;
const hidden = 8;

export interface TinyBatch extends TrainBatch {
  readonly batch: number;
  readonly seq: number;
  readonly tokens: Int32Array<ArrayBuffer>;
  readonly targets: Int32Array<ArrayBuffer>;
  readonly segments: Int32Array<ArrayBuffer>;
}

type Grid = Tensor<"i32", readonly ["batch", "seq"]>;

export interface TinyInputs {
  readonly ids: Grid;
  readonly wanted: Grid;
}

/** A bigram model with one dropped-out hidden layer: enough to have several parameters, padding and randomness. */
export interface Tiny {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly loss: (batch: TinyBatch) => Tensor<WideDType, readonly []>;
  /** The same for a loss that uploads nothing itself; holds a tensor of its own for the draw. */
  uploading(): Required<LossOf<TinyBatch, TinyInputs>>;
  setDraw(draw: number): void;
  /** all weights, one after the other */
  values(): Promise<Float32Array>;
  dispose(): void;
}

/** Matrices in `dtype`, the bias in f32, as loadModel holds them. */
export function tinyModel(backend: Backend, seed = 1, dropoutRate = 0, dtype: "f32" | "bf16" = "f32"): Tiny {
  let stream = 0;
  const weight = <const A extends readonly [string, string]>(axes: A, shape: readonly [number, number]) => {
    const normal = philoxNormal(seed, stream++, 0);
    const values = Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => normal(i) * 0.3);
    return parameter<FloatDType, A>(backend, dtype, axes, shape, dtype === "f32" ? values : f32ToBf16(values));
  };
  const table = weight(["vocab", "hidden"], [vocab, hidden]);
  const up = weight(["up", "hidden"], [hidden, hidden]);
  const bias = parameter(backend, "f32", ["up"], [hidden], new Float32Array(hidden));
  const head = weight(["words", "up"], [vocab, hidden]);
  const parameters = new Map<string, Parameter>([
    ["embed_tokens.weight", table],
    ["up.weight", up],
    ["up.bias", bias],
    ["lm_head.weight", head],
  ]);
  let draw = 0;
  let held: Tensor<"i32", readonly []> | undefined;
  const upload = ({ batch, seq, tokens, targets }: TinyBatch): TinyInputs => ({
    ids: tensor(backend, "i32", ["batch", "seq"], [batch, seq], tokens),
    wanted: tensor(backend, "i32", ["batch", "seq"], [batch, seq], targets),
  });
  const loss = (_: TinyBatch, { ids, wanted }: TinyInputs): Tensor<WideDType, readonly []> => {
    const x = dropout(embedding(table, ids, "f32"), held ?? scalar(backend, "i32", draw), {
      rate: dropoutRate,
      seed: 11,
      stream: 99,
    });
    return linearCrossEntropy(linear(x, up, bias), head, wanted, { chunk: 64 }).loss;
  };
  return {
    parameters,
    loss: (batch) => loss(batch, upload(batch)),
    uploading() {
      held ??= scalar(backend, "i32", draw);
      return { loss, upload };
    },
    setDraw: (next) => {
      draw = next;
      if (held) backend.write(held.view.storage.buffer, held.view, Int32Array.of(next));
    },
    async values() {
      const all: number[] = [];
      for (const param of parameters.values()) all.push(...(await param.read()));
      return Float32Array.from(all);
    },
    dispose: () => {
      held?.dispose();
      for (const param of parameters.values()) param.dispose();
    },
  };
}

export type Row = { readonly tokens: readonly number[]; readonly targets: readonly number[] };

/** Ragged rows, the first few positions of each without a loss, as prompts are. */
export function tinyRows(count: number, seed = 5): Row[] {
  const random = philox(seed, 7, 0);
  return Array.from({ length: count }, (_, r) => {
    const length = 3 + Math.floor(random(1000 * r) * 9);
    const tokens = Array.from({ length }, (_, i) => Math.floor(random(1000 * r + i + 1) * vocab));
    return { tokens, targets: tokens.map((token, i) => (i < 2 ? -100 : (token * 5 + 1) % vocab)) };
  });
}

export function tinyBatch(rows: readonly Row[], ids: readonly number[]): TinyBatch {
  const seq = Math.max(...ids.map((id) => rows[id]!.tokens.length));
  const tokens = new Int32Array(ids.length * seq);
  const targets = new Int32Array(ids.length * seq).fill(-100);
  const segments = new Int32Array(ids.length * seq);
  for (const [r, id] of ids.entries()) {
    const row = rows[id]!;
    tokens.set(row.tokens, r * seq);
    targets.set(row.targets, r * seq);
    segments.fill(1, r * seq, r * seq + row.tokens.length);
  }
  const targetTokens = targets.filter((target) => target !== -100).length;
  return { batch: ids.length, seq, tokens, targets, segments, targetTokens, rows: ids };
}

/** Shuffled anew in every epoch. */
export function tinyBatches(rows: readonly Row[], size: number, seed = 3): BatchSource<TinyBatch> {
  const perEpoch = Math.ceil(rows.length / size);
  return {
    perEpoch,
    batchAt(n) {
      const order = philoxPermutation(rows.length, seed, 1, Math.floor(n / perEpoch));
      const from = (n % perEpoch) * size;
      return tinyBatch(rows, Array.from(order.subarray(from, from + size)));
    },
  };
}
