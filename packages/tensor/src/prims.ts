import type { Backend, BinaryKind, CompareKind, Primitives, ReduceKind, UnaryKind, View } from "./backend.ts";
import { type DType, dim, isFloat, type Spec, sameShape, showShape, sizeOf } from "./dtype.ts";
import { FtError } from "./error.ts";
import { constant, type Temps } from "./memory.ts";

/**
 * The language that references are written in. Each method infers the result's spec, allocates it and runs one
 * primitive; words made of several primitives stand at the end so that a reference reads like its formula.
 */
export class P {
  readonly #temps: Temps;

  constructor(temps: Temps) {
    this.#temps = temps;
  }

  get backend(): Backend {
    return this.#temps.backend;
  }

  #emit<K extends keyof Primitives>(
    name: K,
    inputs: Primitives[K]["in"],
    attrs: Primitives[K]["attrs"],
    spec: Spec,
  ): View {
    const out = this.#temps.alloc(spec);
    this.backend.primitives[name](inputs, attrs, out);
    return out;
  }

  fill(spec: Spec, value: number): View {
    return this.#emit("fill", {}, { value }, { dtype: spec.dtype, shape: spec.shape });
  }
  iota(n: number, dtype: DType = "i32"): View {
    return this.#emit("iota", {}, {}, { dtype, shape: [n] });
  }
  random(shape: readonly number[], step: View, key: { seed: number; stream: number }): View {
    return this.#emit("random", { step }, { seed: key.seed, stream: key.stream }, { dtype: "f32", shape });
  }
  /** Not a primitive: a host table, uploaded once. */
  constant(table: Float32Array<ArrayBuffer>): View {
    return constant(this.backend, table);
  }
  /** The view itself when it has this dtype already. */
  cast(x: View, dtype: DType): View {
    return x.dtype === dtype ? x : this.copy(x, dtype);
  }
  copy(x: View, dtype: DType = x.dtype): View {
    return this.#emit("cast", { x }, {}, { dtype, shape: x.shape });
  }
  /** Not a primitive: shares the storage. */
  reshape(x: View, shape: readonly number[]): View {
    if (sizeOf(shape) !== sizeOf(x.shape))
      throw new FtError(
        "shape",
        `[reshape] ${showShape(x.shape)} to ${showShape(shape)}`,
        "keep the number of elements",
      );
    return { storage: x.storage, dtype: x.dtype, shape };
  }
  permute(x: View, order: readonly number[]): View {
    return this.#emit("permute", { x }, { order }, { dtype: x.dtype, shape: order.map((i) => dim(x, i)) });
  }
  /** x[start:end] along one axis. */
  slice(x: View, axis: number, start: number, end: number): View {
    const at = axis < 0 ? axis + x.shape.length : axis;
    if (start < 0 || end > dim(x, at) || start > end)
      throw new FtError(
        "shape",
        `[slice] ${start}:${end} of ${showShape(x.shape)}, axis ${at}`,
        "stay inside the axis",
      );
    const shape = x.shape.map((d, i) => (i === at ? end - start : d));
    return this.#emit(
      "slice",
      { x },
      { start: x.shape.map((_, i) => (i === at ? start : 0)) },
      { dtype: x.dtype, shape },
    );
  }
  concat(xs: readonly View[], axis: number): View {
    const [first] = xs;
    if (first === undefined) throw new FtError("shape", "[concat] nothing to join", "pass at least one tensor");
    const at = axis < 0 ? axis + first.shape.length : axis;
    const total = xs.reduce((n, x) => n + dim(x, at), 0);
    const shape = first.shape.map((d, i) => (i === at ? total : d));
    return this.#emit("concat", { xs }, { axis: at }, { dtype: first.dtype, shape });
  }
  gather(table: View, index: View): View {
    const shape = [...index.shape, ...table.shape.slice(1)];
    return this.#emit("gather", { table, index }, {}, { dtype: table.dtype, shape });
  }
  /** Sums rows into a zeroed [size, ...]. */
  scatterAdd(rows: View, index: View, size: number): View {
    const shape = [size, ...rows.shape.slice(index.shape.length)];
    return this.#emit("scatterAdd", { rows, index }, {}, { dtype: rows.dtype, shape });
  }
  unary(kind: UnaryKind, x: View): View {
    return this.#emit("unary", { x }, { kind }, { dtype: x.dtype, shape: x.shape });
  }
  binary(kind: BinaryKind, a: View, b: View | number): View {
    sameDType(kind, a, b);
    return this.#emit("binary", { a, b }, { kind }, { dtype: a.dtype, shape: broadcast(kind, a.shape, b) });
  }
  compare(kind: CompareKind, a: View, b: View | number): View {
    sameDType(kind, a, b);
    return this.#emit("compare", { a, b }, { kind }, { dtype: "bool", shape: broadcast(kind, a.shape, b) });
  }
  /** a where `test` is true, else b. */
  where(test: View, a: View, b: View | number): View {
    sameDType("where", a, b);
    const shape = broadcast("where", broadcast("where", a.shape, b), test);
    return this.#emit("where", { test, a, b }, {}, { dtype: a.dtype, shape });
  }
  /** Reduced axes stay, with size 1. */
  reduce(kind: ReduceKind, x: View, axes: readonly number[]): View {
    const at = axes.map((a) => (a < 0 ? a + x.shape.length : a));
    const shape = x.shape.map((d, i) => (at.includes(i) ? 1 : d));
    return this.#emit("reduce", { x }, { kind, axes: at }, { dtype: x.dtype, shape });
  }
  argmax(x: View): View {
    return this.#emit("argmax", { x }, {}, { dtype: "i32", shape: x.shape.slice(0, -1) });
  }
  searchSorted(x: View, bounds: View): View {
    return this.#emit("searchSorted", { x, bounds }, {}, { dtype: "i32", shape: x.shape });
  }
  matmul(a: View, b: View, { ta = false, tb = false }: { ta?: boolean; tb?: boolean } = {}): View {
    const m = dim(a, ta ? -1 : -2);
    const k = dim(a, ta ? -2 : -1);
    const n = dim(b, tb ? -2 : -1);
    const batch = a.shape.slice(0, -2);
    const fits = k === dim(b, tb ? -1 : -2) && (b.shape.length === 2 || sameShape(batch, b.shape.slice(0, -2)));
    if (!fits || a.dtype !== b.dtype || !isFloat(a.dtype))
      throw new FtError(
        "shape",
        `[matmul] ${a.dtype} ${showShape(a.shape)}${ta ? "ᵀ" : ""} · ${b.dtype} ${showShape(b.shape)}${tb ? "ᵀ" : ""}`,
        "contracted sizes, batch and float dtype must agree",
      );
    return this.#emit("matmul", { a, b }, { ta, tb }, { dtype: a.dtype, shape: [...batch, m, n] });
  }

  add(a: View, b: View | number): View {
    return this.binary("add", a, b);
  }
  sub(a: View, b: View | number): View {
    return this.binary("sub", a, b);
  }
  mul(a: View, b: View | number): View {
    return this.binary("mul", a, b);
  }
  div(a: View, b: View | number): View {
    return this.binary("div", a, b);
  }
  neg(x: View): View {
    return this.unary("neg", x);
  }
  exp(x: View): View {
    return this.unary("exp", x);
  }
  log(x: View): View {
    return this.unary("log", x);
  }
  sqrt(x: View): View {
    return this.unary("sqrt", x);
  }
  sum(x: View, ...axes: readonly number[]): View {
    return this.reduce("sum", x, axes);
  }
  max(x: View, ...axes: readonly number[]): View {
    return this.reduce("max", x, axes);
  }
  /** 1 / (1 + e^-x). An overflow of e^-x gives the right limit, 0, and small values keep their digits, unlike through tanh. */
  sigmoid(x: View): View {
    return this.div(this.fill(x, 1), this.add(this.exp(this.neg(x)), 1));
  }
  /** All leading axes folded into one: [..., n] -> [rows, n]. */
  rows(x: View): View {
    return this.reshape(x, [sizeOf(x.shape.slice(0, -1)), dim(x, -1)]);
  }
  /** Sums a broadcast gradient back to the shape it came from. */
  unbroadcast(grad: View, shape: readonly number[]): View {
    const lead = grad.shape.length - shape.length;
    const axes = grad.shape.flatMap((d, i) => (d !== (shape[i - lead] ?? 1) || i < lead ? [i] : []));
    return this.reshape(axes.length > 0 ? this.reduce("sum", grad, axes) : grad, shape);
  }
}

function sameDType(op: string, a: View, b: View | number): void {
  if (typeof b !== "number" && a.dtype !== b.dtype)
    throw new FtError("dtype", `[${op}] ${a.dtype} with ${b.dtype}`, "cast one of them");
}

function broadcast(
  op: string,
  a: readonly number[],
  other: { readonly shape: readonly number[] } | number,
): readonly number[] {
  if (typeof other === "number") return a;
  const b = other.shape;
  const rank = Math.max(a.length, b.length);
  const out: number[] = [];
  for (let i = -rank; i < 0; i++) {
    const p = a.at(i) ?? 1;
    const q = b.at(i) ?? 1;
    if (p !== q && p !== 1 && q !== 1)
      throw new FtError("shape", `[${op}] ${showShape(a)} with ${showShape(b)}`, "sizes must agree or be 1");
    out.push(p === 1 ? q : p);
  }
  return out;
}
