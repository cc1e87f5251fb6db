import { type DType, FtError, sizeOf, type View } from "@ft/tensor";
import type * as Core from "@tensorflow/tfjs-core";

/** The part of TensorFlow.js that this package calls: any of its distributions has it. */
export type Tf = Pick<
  typeof Core,
  | "abs"
  | "add"
  | "argMax"
  | "cast"
  | "concat"
  | "cos"
  | "div"
  | "equal"
  | "erf"
  | "exp"
  | "fill"
  | "floor"
  | "gather"
  | "getBackend"
  | "keep"
  | "less"
  | "lessEqual"
  | "log"
  | "matMul"
  | "max"
  | "maximum"
  | "minimum"
  | "mul"
  | "neg"
  | "notEqual"
  | "range"
  | "reshape"
  | "searchSorted"
  | "sin"
  | "slice"
  | "sqrt"
  | "sub"
  | "sum"
  | "tanh"
  | "tensor"
  | "tidy"
  | "transpose"
  | "unsortedSegmentSum"
  | "where"
>;
export type TfTensor = Core.Tensor;

/**
 * What this backend calls a buffer. tfjs tensors are immutable, so a buffer is a cell that a kernel fills. `host` keeps
 * the value of a scalar that came from the host, so that `random` needs no read-back: WebGPU has no synchronous one.
 */
export interface Cell {
  tensor?: TfTensor;
  host?: number;
}
/** A value on this backend. */
export type TfView = View<Cell>;

/** Integers and booleans live in int32: tfjs has no other integer type that its kernels agree on. */
export function storageType(dtype: DType): "float32" | "int32" {
  return dtype === "f32" ? "float32" : "int32";
}

/** What kernels get as their first argument: the injected library and the way in and out of cells. */
export interface TfjsContext {
  readonly tf: Tf;
  /** The tensor of a view, in the view's shape. Call it inside tf.tidy. */
  get(view: TfView): TfTensor;
  /** Fills the cell of `out`, in its shape and storage type, with a tensor that outlives tf.tidy. */
  set(out: TfView, value: TfTensor): void;
}

export function createContext(tf: Tf): TfjsContext {
  return {
    tf,
    get({ storage, shape, dtype }) {
      const { tensor } = storage.buffer;
      if (tensor === undefined)
        throw new FtError("backend", `[tfjs] a ${dtype} buffer is read before it was written`, "report this as a bug");
      return tf.reshape(tensor, [...shape]);
    },
    set(out, value) {
      if (value.size !== sizeOf(out.shape))
        throw new FtError(
          "backend",
          `[tfjs] ${value.shape.join("×")} for ${out.shape.join("×")}`,
          "report this as a bug",
        );
      const cell = out.storage.buffer;
      const filled = tf.keep(tf.cast(tf.reshape(value, [...out.shape]), storageType(out.dtype)));
      cell.tensor?.dispose();
      cell.tensor = filled;
      delete cell.host;
    },
  };
}
