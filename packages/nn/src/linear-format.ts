import type { Backend, DataOf, DType, FloatDType, Parameter } from "@ft/tensor";
import type { Linear } from "./linear.ts";

/** Named tensors of a weight file, read when asked for. A WeightSource of @ft/weights is one. */
export interface StoredTensors {
  readonly path: string;
  readonly tensors: ReadonlyMap<
    string,
    {
      readonly dtype: string;
      readonly shape: readonly number[];
      readonly size: number;
      readonly host: DType | undefined;
    }
  >;
  /** A whole tensor, row-major, converted to `dtype`. */
  read<D extends DType>(name: string, dtype: D): Promise<DataOf[D]>;
  /** `count` values from the flat index `start` on, likewise. */
  readWindow<D extends DType>(name: string, start: number, count: number, dtype: D): Promise<DataOf[D]>;
}

/** A layer's weight on its way from a file into memory. */
export interface StoredLinear {
  /** the checkpoint's module path, e.g. "model.layers.0.self_attn.q_proj" */
  readonly path: string;
  readonly source: StoredTensors;
  /** the weight's name in the file, which in a GGUF file is not `${path}.weight` */
  readonly name: string;
  /** [out, in] */
  readonly shape: readonly [number, number];
  /** what the model computes in, and what dense weights are held in unless the file has halves */
  readonly dtype: FloatDType;
  /** puts the values of the whole weight in order, such as llama.cpp's permuted rows; it may work in place */
  readonly transform?: <T extends DataOf[FloatDType]>(data: T) => T;
  /** loaded already; the Linear owns it from now on */
  readonly bias?: Parameter<FloatDType, readonly ["out"]>;
  readonly backend: Backend;
  /** the folder says that it is quantised: what it holds as floats was left so on purpose */
  readonly quantized: boolean;
}

/** A tensor to be written; one WeightEntry of @ft/weights. */
export interface StoredEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: () => DataOf[DType] | Promise<DataOf[DType]>;
}

/** A way of holding the weights of Linears in files and in memory: how quantised formats take part in loading and saving. */
export interface LinearFormat {
  /** `quant_method` in the `quantization_config` of folders that it reads and writes */
  readonly quantMethod: string;
  /** Names of the tensors that belong to the weight `name` where it is stored in this format; none where it is stored as floats. */
  companions(source: StoredTensors, name: string): readonly string[];
  /**
   * The Linear of a layer: from its codes, or quantised on the way. Undefined: it is held as floats.
   * Errors: "format" (statistics missing or of the wrong size), "numeric" (weights that are not finite).
   */
  load(at: StoredLinear): Promise<Linear | undefined>;
  /** What to write for the layer at `path`, weight only; undefined for a Linear that is not held in this format. */
  entries(path: string, linear: Linear): readonly StoredEntry[] | undefined;
  /** `quantization_config` of a folder with these Linears. */
  config(linears: ReadonlyMap<string, Linear>): { readonly [key: string]: unknown };
}
