import type { Backend, View } from "./backend.ts";
import { type DataOf, type DType, dataOf, type FloatDType, sameShape, showShape, sizeOf } from "./dtype.ts";
import { FtError } from "./error.ts";
import { Storage } from "./memory.ts";
import { type Handle, track, untrack } from "./scope.ts";
import type { Edge } from "./tape.ts";

/** Axis names, outermost first. Names, never sizes: sizes come from a model's config at run time. */
export type Axes = readonly string[];

/**
 * An immutable value with a dtype and named axes. `A = any` is the gradual default: code that names nothing just works.
 * Owned: dispose it, declare it with `using`, or make it inside a scope().
 */
export class Tensor<D extends DType = DType, A extends Axes = any> implements Handle, Disposable {
  readonly isTensor = true;
  readonly dtype: D;
  readonly axes: A;
  /** @internal where its gradient goes; undefined for what needs none */
  edge: Edge | undefined;
  #view: View | undefined;

  /** @internal takes over one reference to the view's storage */
  constructor(view: View, dtype: D, axes: A, edge?: Edge) {
    if (view.dtype !== dtype)
      throw new FtError(
        "dtype",
        `[tensor] the data are ${view.dtype}, declared ${dtype}`,
        "cast them or declare what they are",
      );
    if (axes.length !== view.shape.length)
      throw new FtError(
        "axes",
        `[tensor] ${axes.length} names (${axes.join(", ")}) for ${showShape(view.shape)}`,
        "name every axis once",
      );
    this.#view = view;
    this.dtype = dtype;
    this.axes = axes;
    this.edge = edge;
    track(this);
  }

  /** @internal the value inside its backend */
  get view(): View {
    if (this.#view === undefined)
      throw new FtError(
        "disposed",
        `[tensor] ${this.axes.join("×") || "scalar"} is used after dispose`,
        "return it from scope(), or dispose it later",
      );
    return this.#view;
  }
  protected set view(next: View) {
    this.#view = next;
  }
  get shape(): readonly number[] {
    return this.view.shape;
  }
  get backend(): Backend {
    return this.view.storage.backend;
  }

  /** The same value under these axis names: the only way from unnamed to named. Checks the rank. */
  as<const B extends Axes>(...axes: B): Tensor<D, B> {
    const { view } = this;
    const named = new Tensor(view, this.dtype, axes, this.edge);
    view.storage.retain();
    return named;
  }

  /** A copy of the values on the host, row-major. */
  async read(): Promise<DataOf[D]> {
    const { view } = this;
    return dataOf[this.dtype](await view.storage.backend.read(view.storage.buffer, view));
  }

  dispose(): void {
    untrack(this);
    const view = this.#view;
    this.#view = undefined;
    view?.storage.release();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
  /** "f32 batch×seq = 2×8" */
  toString(): string {
    return `${this.dtype} ${this.axes.join("×")} = ${showShape(this.shape)}`;
  }
}

/** The one tensor whose value changes: a weight keeps its identity across steps. */
export class Parameter<D extends FloatDType = FloatDType, A extends Axes = any> extends Tensor<D, A> {
  /** Takes over the value of `next`, which is disposed. Shapes and dtype must be equal. */
  assign(next: Tensor): void {
    const { view } = next;
    if (view.dtype !== this.dtype || !sameShape(view.shape, this.shape))
      throw new FtError("shape", `[assign] ${next} to ${this}`, "a parameter keeps its dtype and shape");
    view.storage.retain();
    this.view.storage.release();
    this.view = { storage: view.storage, dtype: view.dtype, shape: this.shape };
    next.dispose();
  }

  /** Overwrites the value from the host, row-major. */
  write(data: DataOf[D]): void {
    if (data.length !== sizeOf(this.shape))
      throw new FtError("shape", `[write] ${data.length} values to ${this}`, "a parameter keeps its shape");
    const { view } = this;
    view.storage.backend.write(view.storage.buffer, view, data);
  }
}

function checkHeld(backend: Backend, dtype: DType): void {
  if (backend.dtypes.has(dtype)) return;
  throw new FtError(
    "dtype",
    `[tensor] ${backend.name} cannot hold ${dtype}`,
    `it holds ${[...backend.dtypes].join(", ")}`,
  );
}

function hostView(backend: Backend, dtype: DType, shape: readonly number[], data: DataOf[DType], given: boolean): View {
  checkHeld(backend, dtype);
  if (data.length !== sizeOf(shape))
    throw new FtError(
      "shape",
      `[tensor] ${data.length} values for ${showShape(shape)}`,
      "the sizes must multiply to the length",
    );
  const storage = new Storage(backend, { dtype, shape }, false, given ? data : undefined);
  if (!given) backend.write(storage.buffer, storage.spec, data);
  return { storage, dtype, shape };
}

/** Whether the host values are the caller's to keep, so that they are copied, or given up, so that they need not be. */
export interface HostData {
  readonly give?: boolean;
}

/** Host values to a tensor: `tensor(cpu, "i32", ["batch", "seq"], [2, 8], ids)`. The data are copied unless given. */
export function tensor<D extends DType, const A extends Axes>(
  backend: Backend,
  dtype: D,
  axes: A,
  shape: readonly number[],
  data: DataOf[D],
  { give = false }: HostData = {},
): Tensor<D, A> {
  return new Tensor(hostView(backend, dtype, shape, data, give), dtype, axes);
}

/** Host values to a parameter: a weight, trained or frozen. The data are copied unless given. */
export function parameter<D extends FloatDType, const A extends Axes>(
  backend: Backend,
  dtype: D,
  axes: A,
  shape: readonly number[],
  data: DataOf[D],
  { give = false }: HostData = {},
): Parameter<D, A> {
  return new Parameter(hostView(backend, dtype, shape, data, give), dtype, axes);
}

/** Makes a parameter of a computed tensor, which is consumed. */
export function toParameter<D extends FloatDType, A extends Axes>(x: Tensor<D, A>): Parameter<D, A> {
  const { view } = x;
  view.storage.retain();
  const made = new Parameter(view, x.dtype, x.axes);
  x.dispose();
  return made;
}

/** A 0-d tensor for what changes from step to step: learning rate, bias corrections, the dropout step. */
export function scalar(backend: Backend, dtype: "f32", value: number): Tensor<"f32", readonly []>;
export function scalar(backend: Backend, dtype: "f64", value: number): Tensor<"f64", readonly []>;
export function scalar(backend: Backend, dtype: "i32", value: number): Tensor<"i32", readonly []>;
export function scalar(backend: Backend, dtype: "f32" | "f64" | "i32", value: number): Tensor<any, readonly []> {
  const data = dataOf[dtype](new ArrayBuffer(dtype === "f64" ? 8 : 4));
  data[0] = value;
  return new Tensor(hostView(backend, dtype, [], data, true), dtype, []);
}

/** Memory for values that its only holder writes before anything reads them, in windows. */
export function unwritten<D extends DType, const A extends Axes>(
  backend: Backend,
  dtype: D,
  axes: A,
  shape: readonly number[],
): Tensor<D, A> {
  checkHeld(backend, dtype);
  const spec = { dtype, shape };
  return new Tensor({ storage: new Storage(backend, spec), ...spec }, dtype, axes);
}

/** All zeros, made by the backend. */
export function zeros<D extends DType, const A extends Axes>(
  backend: Backend,
  dtype: D,
  axes: A,
  shape: readonly number[],
): Tensor<D, A> {
  const storage = new Storage(backend, { dtype, shape });
  const view: View = { storage, dtype, shape };
  backend.primitives.fill({}, { value: 0 }, view);
  return new Tensor(view, dtype, axes);
}
