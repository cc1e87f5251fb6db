import type { DataOf, DType, Spec } from "./dtype.ts";
import type { Storage } from "./memory.ts";
import type { AnyKernel } from "./op.ts";

/*
 * The one page a backend author reads.
 *
 * A backend is a value: how to hold buffers, how to run a closed set of primitives, and any number of fused kernels on
 * top. It knows nothing of tensors, names, gradients or models. With the primitives alone it runs everything, because
 * every op carries a reference written in them; a kernel only makes an op faster, and `backendConformance` of
 * @ft/testing compares the two.
 */

/** A dense row-major value inside one backend. Views may share a storage (reshape is free); nothing is reinterpreted across dtypes. */
export interface View<B = any> extends Spec {
  readonly storage: Storage<B>;
}

/** Elementwise functions of one value. */
export type UnaryKind = "neg" | "abs" | "floor" | "exp" | "log" | "sqrt" | "sin" | "cos" | "tanh" | "erf";
/** Elementwise functions of two values. */
export type BinaryKind = "add" | "sub" | "mul" | "div" | "min" | "max";
/** Elementwise comparisons; the result is bool. */
export type CompareKind = "lt" | "le" | "eq";
/** Reductions over one axis. */
export type ReduceKind = "sum" | "max";

/**
 * The closed set. Shape and dtype of the result are fixed in `out` before the kernel runs. Elementwise kernels broadcast
 * as NumPy does; a `number` operand is an immediate. Sums and products accumulate in at least f32 (f64 for f64).
 */
export interface Primitives<B = any> {
  /** out[...] = value */
  fill: { in: {}; attrs: { value: number } };
  /** out[i] = i along one axis */
  iota: { in: {}; attrs: {} };
  /** out[i] uniform in [0, 1) on 24 bits: word i mod 4 of Philox4x32-10 at counter (i div 4, 0, step, 0), key (seed, stream) */
  random: { in: { step: View<B> }; attrs: { seed: number; stream: number } };
  /** convert to out.dtype, rounding to nearest even; also the plain copy */
  cast: { in: { x: View<B> }; attrs: {} };
  /** axis i of out is axis order[i] of x */
  permute: { in: { x: View<B> }; attrs: { order: readonly number[] } };
  /** out = x[start : start + out.shape] on every axis */
  slice: { in: { x: View<B> }; attrs: { start: readonly number[] } };
  concat: { in: { xs: readonly View<B>[] }; attrs: { axis: number } };
  /** out[i..., :] = table[index[i...], :] */
  gather: { in: { table: View<B>; index: View<B> }; attrs: {} };
  /** out[index[i], :] += rows[i, :] over a zeroed out, in order of i; a negative index is skipped */
  scatterAdd: { in: { rows: View<B>; index: View<B> }; attrs: {} };
  unary: { in: { x: View<B> }; attrs: { kind: UnaryKind } };
  binary: { in: { a: View<B>; b: View<B> | number }; attrs: { kind: BinaryKind } };
  /** out is bool */
  compare: { in: { a: View<B>; b: View<B> | number }; attrs: { kind: CompareKind } };
  where: { in: { test: View<B>; a: View<B>; b: View<B> | number }; attrs: {} };
  /** reduced axes stay, with size 1 */
  reduce: { in: { x: View<B> }; attrs: { kind: ReduceKind; axes: readonly number[] } };
  /** index of the first largest along the last axis */
  argmax: { in: { x: View<B> }; attrs: {} };
  /** out[i] = how many of the ascending bounds are < x[i] */
  searchSorted: { in: { x: View<B>; bounds: View<B> }; attrs: {} };
  /** [batch..., m, k] · [batch... or none, k, n]; `ta` and `tb` read an operand with its last two axes swapped */
  matmul: { in: { a: View<B>; b: View<B> }; attrs: { ta: boolean; tb: boolean } };
}

/** One function per primitive: reads `inputs`, writes all of `out`. When `mutable`, `out` may be an input of equal shape in elementwise kernels. */
export type PrimitiveKernels<B = any> = {
  readonly [K in keyof Primitives]: (
    inputs: Primitives<B>[K]["in"],
    attrs: Primitives<B>[K]["attrs"],
    out: View<B>,
  ) => void;
};

/** Values of a buffer that lie in memory which is no burden to the backend, such as the host's, until they are wanted again. */
export interface Parked<B = any> {
  /** Begins to bring the values into a buffer of the same spec, beside other work where that is possible. Called once. */
  fetch(into: B): void;
  /** What is queued after this finds the values in that buffer. */
  arrive(): void;
  /** Gives up the parked values, exactly once, fetched or not. */
  drop(): void;
}

/** Recording work that repeats, and replaying it in one go. */
export interface Graphs<B = any> {
  /**
   * What `fn` gives. A backend may record what `fn` queues when it sees a key for the second time with inputs of the same
   * dtypes and shapes, and replay that from then on without calling `fn`, after copying the inputs to where the recorded
   * ones lie. So `fn` depends on nothing but the values of `inputs`, and of tensors whose place never changes; it uploads
   * nothing and reads nothing. Each view that `fn` returns, and each that comes back, carries one reference to its storage.
   * The inputs of a run that is recorded are the recording's from then on: later runs overwrite them. What a replay gives is
   * never exclusive. It stays whole as long as every run, of any key, has it among its inputs; any other may overwrite it.
   */
  run(key: string, inputs: readonly View<B>[], fn: () => readonly View<B>[]): readonly View<B>[];
  /** The key will not come again: what was recorded of it may go. */
  forget?(key: string): void;
}

/** What a backend author writes. `B` is whatever the backend calls a buffer: a typed array, a device pointer, a cell with a tf.Tensor. */
export interface Backend<B = any> {
  readonly name: string;
  /** dtypes it can hold exactly, however it stores them; loaders widen and conformance skips by this set */
  readonly dtypes: ReadonlySet<DType>;
  /** whether kernels may write into a buffer they were given (TensorFlow.js: false) */
  readonly mutable: boolean;
  readonly primitives: PrimitiveKernels<B>;
  /** fused kernels by op identity; an op that has none here runs its reference */
  readonly kernels: ReadonlyMap<symbol, AnyKernel>;
  /** handed to fused kernels as their first argument */
  readonly context: unknown;
  /** An unwritten buffer. Takes a spec, not bytes: TensorFlow.js has no bytes. */
  alloc(spec: Spec): B;
  /** A buffer that is this host array itself, which the caller gives up: no copy. Absent where buffers are not host arrays. */
  adopt?(spec: Spec, data: DataOf[DType]): B;
  /** The elements [start, start + count) of a buffer, the same memory: no copy, never freed. Absent where there is no such thing. */
  part?(buffer: B, spec: Spec, start: number, count: number): B;
  free(buffer: B): void;
  /** bytes this backend really spends on it (TensorFlow.js: 4 for a u8) */
  bytes(spec: Spec): number;
  write(buffer: B, spec: Spec, data: DataOf[DType]): void;
  /** The only wait in the contract. The result is a copy. */
  read(buffer: B, spec: Spec): Promise<ArrayBuffer>;
  /**
   * Copies a buffer away, as it is after all that was queued so far. The caller may free it at once: its memory is not used
   * anew before the copy is made. Absent where buffers are in the host's memory anyway.
   */
  park?(buffer: B, spec: Spec): Parked<B>;
  /** Absent where there is nothing to win by replaying. */
  readonly graphs?: Graphs<B>;
  /** Releases what the backend itself holds (threads, pools, device memory). */
  dispose?(): void;
}
