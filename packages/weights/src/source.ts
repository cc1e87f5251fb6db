import { type DataOf, type DType, FtError } from "@ft/tensor";
import type { DataFile } from "./data-file.ts";
import type { Encoding } from "./encoding.ts";
import { readElements } from "./read-elements.ts";

/** What a weight file says of one tensor. */
export interface TensorInfo {
  readonly name: string;
  /** as the file calls it: "BF16", "Q4_0" */
  readonly dtype: string;
  /** row-major, outermost first; a linear weight is [out, in], from GGUF too */
  readonly shape: readonly number[];
  /** number of values */
  readonly size: number;
  /** bytes in the file */
  readonly bytes: number;
  /** the dtype to read it as when nothing else is wanted: its own, f32 for quantised blocks; undefined when it cannot be read */
  readonly host: DType | undefined;
}

/** Named tensors in files, read when asked for. Nothing of their data is held in memory. */
export interface WeightSource extends AsyncDisposable {
  readonly format: "safetensors" | "gguf";
  readonly path: string;
  /** safetensors: strings; GGUF: numbers, bigints beyond 2^53, booleans, strings, typed arrays (u8 of 0 and 1 for booleans), string[] */
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** A whole tensor, row-major, converted on the way (rounded to nearest even where that narrows it). */
  read<D extends DType>(name: string, dtype: D): Promise<DataOf[D]>;
  /** `count` values from the flat index `start` on, likewise. */
  readWindow<D extends DType>(name: string, start: number, count: number, dtype: D): Promise<DataOf[D]>;
  /** Closes the files; reading afterwards is an error. */
  close(): Promise<void>;
}

/** A tensor and where its bytes lie. */
export interface StoredTensor {
  readonly info: TensorInfo;
  readonly encoding: Encoding;
  readonly file: DataFile;
  /** byte offset in the file */
  readonly position: number;
}

/** Puts a source together from parsed headers. */
export function weightSource(
  format: WeightSource["format"],
  path: string,
  metadata: ReadonlyMap<string, unknown>,
  stored: ReadonlyMap<string, StoredTensor>,
  files: readonly DataFile[],
): WeightSource {
  const find = (name: string): StoredTensor => {
    const found = stored.get(name);
    if (found) return found;
    const some = [...stored.keys()].slice(0, 3).join(", ");
    const hint = stored.size === 0 ? "it holds no tensors at all" : `it holds ${stored.size}, such as ${some}`;
    throw new FtError("missing", `${path} has no tensor "${name}"`, hint);
  };
  const close = async () => {
    for (const file of files) await file.close();
  };
  return {
    format,
    path,
    metadata,
    tensors: new Map([...stored].map(([name, { info }]) => [name, info])),
    async read(name, dtype) {
      const tensor = find(name);
      return readElements(tensor, 0, tensor.info.size, dtype);
    },
    async readWindow(name, start, count, dtype) {
      const tensor = find(name);
      const { size } = tensor.info;
      if (
        !Number.isSafeInteger(start) ||
        !Number.isSafeInteger(count) ||
        start < 0 ||
        count < 0 ||
        start + count > size
      )
        throw new FtError(
          "shape",
          `[readWindow] ${count} values from ${start} on do not lie within "${name}" of ${size} values`,
          "ask for a window inside the tensor",
        );
      return readElements(tensor, start, count, dtype);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** `rows` rows from row `start` on, where a row is everything below the first axis (one value, for a 1-d tensor). */
export async function readRows<D extends DType>(
  source: WeightSource,
  name: string,
  start: number,
  rows: number,
  dtype: D,
): Promise<DataOf[D]> {
  const info = source.tensors.get(name);
  const width = info === undefined ? 1 : info.shape.slice(1).reduce((n, d) => n * d, 1);
  return source.readWindow(name, start * width, rows * width, dtype);
}
