import {
  type BinaryKind,
  type CompareKind,
  dim,
  type PrimitiveKernels,
  philox,
  sizeOf,
  type UnaryKind,
} from "@ft/tensor";
import type { Rank } from "@tensorflow/tfjs-core";
import type { Cell, Tf, TfjsContext, TfTensor, TfView } from "./cell.ts";
import { storageType } from "./cell.ts";

type Unary = { readonly [K in UnaryKind]: (x: TfTensor) => TfTensor };
type Pair<K extends string> = { readonly [P in K]: (a: TfTensor, b: TfTensor) => TfTensor };

/** Every primitive over the injected library, each inside tf.tidy: what it does not keep is gone. */
export function createPrimitives({ tf, get, set }: TfjsContext): PrimitiveKernels<Cell> {
  const { neg, abs, floor, exp, log, sqrt, sin, cos, tanh, erf } = tf;
  const unary: Unary = { neg, abs, floor, exp, log, sqrt, sin, cos, tanh, erf };
  const { add, sub, mul, div, minimum: min, maximum: max } = tf;
  const binary: Pair<BinaryKind> = { add, sub, mul, div, min, max };
  const compare: Pair<CompareKind> = { lt: tf.less, le: tf.lessEqual, eq: tf.equal };

  /** A tensor operand, or an immediate in the type of the tensor beside it (f32 when an integer type would cut it). */
  const operand = (b: TfView | number, beside: TfTensor): TfTensor => {
    if (typeof b !== "number") return get(b);
    return tf.fill([], b, beside.dtype === "int32" && Number.isInteger(b) ? "int32" : "float32");
  };

  return tidied(tf, {
    fill(_inputs, { value }, out) {
      const filled = out.dtype === "bool" ? Number(value !== 0) : value;
      set(out, tf.fill([...out.shape], filled, storageType(out.dtype)));
      if (sizeOf(out.shape) === 1) out.storage.buffer.host = filled;
    },
    iota: (_inputs, _attrs, out) => set(out, tf.range(0, sizeOf(out.shape), 1, storageType(out.dtype))),
    // products of 32-bit words need 64 bits, which tfjs lacks: drawn on the host and uploaded
    random({ step }, { seed, stream }, out) {
      const at = step.storage.buffer.host ?? get(step).dataSync()[0] ?? 0;
      const draw = philox(seed, stream, at);
      set(out, tf.tensor(Float32Array.from({ length: sizeOf(out.shape) }, (_, i) => draw(i))));
    },
    cast: ({ x }, _attrs, out) =>
      set(out, out.dtype === "bool" && x.dtype !== "bool" ? tf.notEqual(get(x), 0) : get(x)),
    permute: ({ x }, { order }, out) => set(out, tf.transpose(get(x), [...order])),
    slice: ({ x }, { start }, out) => set(out, tf.slice(get(x), [...start], [...out.shape])),
    concat: ({ xs }, { axis }, out) => set(out, tf.concat(xs.map(get), axis)),
    gather: ({ table, index }, _attrs, out) => set(out, tf.gather(get(table), tf.cast(get(index), "int32"))),
    scatterAdd({ rows, index }, _attrs, out) {
      const n = sizeOf(index.shape);
      const ids = tf.reshape<Rank.R1>(get(index), [n]);
      // negative segment ids are dropped by every implementation
      set(out, tf.unsortedSegmentSum(tf.reshape(get(rows), [n, sizeOf(out.shape.slice(1))]), ids, dim(out, 0)));
    },
    unary: ({ x }, { kind }, out) => set(out, unary[kind](get(x))),
    binary({ a, b }, { kind }, out) {
      const left = get(a);
      set(out, binary[kind](left, operand(b, left)));
    },
    compare({ a, b }, { kind }, out) {
      const left = get(a);
      set(out, compare[kind](left, operand(b, left)));
    },
    where({ test, a, b }, _attrs, out) {
      const left = get(a);
      set(out, tf.where(tf.cast(get(test), "bool"), left, operand(b, left)));
    },
    reduce({ x }, { kind, axes }, out) {
      if (axes.length === 0) set(out, get(x));
      else set(out, (kind === "sum" ? tf.sum : tf.max)(get(x), [...axes], true));
    },
    argmax: ({ x }, _attrs, out) => set(out, tf.argMax(get(x), -1)),
    searchSorted({ x, bounds }, _attrs, out) {
      set(out, tf.searchSorted(tf.reshape(get(bounds), [1, -1]), tf.reshape(get(x), [1, -1]), "left"));
    },
    matmul({ a, b }, { ta, tb }, out) {
      const batch = sizeOf(out.shape.slice(0, -2));
      const flat = (x: TfView, n: number): TfTensor => tf.reshape(get(x), [n, dim(x, -2), dim(x, -1)]);
      set(out, tf.matMul(flat(a, batch), flat(b, b.shape.length === 2 ? 1 : batch), ta, tb));
    },
  });
}

function tidied(tf: Tf, raw: PrimitiveKernels<Cell>): PrimitiveKernels<Cell> {
  const wrap =
    <I, A>(kernel: (inputs: I, attrs: A, out: TfView) => void) =>
    (inputs: I, attrs: A, out: TfView): void =>
      void tf.tidy(() => kernel(inputs, attrs, out));
  return {
    fill: wrap(raw.fill),
    iota: wrap(raw.iota),
    random: wrap(raw.random),
    cast: wrap(raw.cast),
    permute: wrap(raw.permute),
    slice: wrap(raw.slice),
    concat: wrap(raw.concat),
    gather: wrap(raw.gather),
    scatterAdd: wrap(raw.scatterAdd),
    unary: wrap(raw.unary),
    binary: wrap(raw.binary),
    compare: wrap(raw.compare),
    where: wrap(raw.where),
    reduce: wrap(raw.reduce),
    argmax: wrap(raw.argmax),
    searchSorted: wrap(raw.searchSorted),
    matmul: wrap(raw.matmul),
  };
}
