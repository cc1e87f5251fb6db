import type { StoredTensors } from "@ft/nn";
import {
  type Backend,
  bytesPerElement,
  type DataOf,
  type DType,
  FtError,
  fromPieces,
  showShape,
  type Tensor,
} from "@ft/tensor";

/** Reads the tensors that belong to one quantised weight, and says in errors which tensor of which file is wrong. */
export class Stored {
  readonly #source: StoredTensors;

  constructor(source: StoredTensors) {
    this.#source = source;
  }

  has(name: string): boolean {
    return this.#source.tensors.has(name);
  }
  /** `"name" of file`, for messages. */
  at(name: string): string {
    return `"${name}" of ${this.#source.path}`;
  }
  error(name: string, what: string, hint: string): FtError {
    return new FtError("format", `[bitsandbytes] ${this.at(name)} ${what}`, hint);
  }

  /** All values of a tensor that must have this dtype and, unless `count` is undefined, so many values. */
  async read<D extends DType>(name: string, dtype: D, count: number | undefined): Promise<DataOf[D]> {
    const info = this.#source.tensors.get(name);
    if (info === undefined)
      throw new FtError(
        "missing",
        `[bitsandbytes] ${this.at(name)} is missing`,
        "without it the weight cannot be decoded",
      );
    if (info.host !== dtype || (count !== undefined && info.size !== count))
      throw this.error(
        name,
        `is ${info.dtype} ${showShape(info.shape)}`,
        count === undefined ? `it should be ${dtype}` : `it should have ${count} values of ${dtype}`,
      );
    return this.#source.read(name, dtype);
  }

  /** The same of f32 statistics, which must be finite. */
  async statistics(name: string, count: number): Promise<Float32Array<ArrayBuffer>> {
    const values = await this.read(name, "f32", count);
    const at = values.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) throw this.error(name, `is ${values[at]} at ${at}`, "the file is damaged: download it again");
    return values;
  }

  /** Throws unless a tensor, of any dtype, has so many bytes. */
  checkBytes(name: string, count: number): void {
    const info = this.#source.tensors.get(name);
    if (info?.host === undefined || info.size > count)
      throw this.error(
        name,
        info ? `is ${info.dtype} ${showShape(info.shape)}` : "is missing",
        `it should be ${count} bytes`,
      );
    const bytes = info.size * bytesPerElement[info.host];
    if (bytes !== count) throw this.error(name, `has ${bytes} bytes`, `a weight of this shape has ${count}`);
  }

  /** The bytes of a tensor that checkBytes found right, on a backend. */
  async codes(name: string, backend: Backend): Promise<Tensor<"u8", readonly ["byte"]>> {
    const info = this.#source.tensors.get(name);
    const host = info?.host ?? "u8";
    const width = bytesPerElement[host];
    const shape = [(info?.size ?? 0) * width];
    return fromPieces(backend, { dtype: "u8", axes: ["byte"], shape }, async (start, count) => {
      const data = await this.#source.readWindow(name, start / width, count / width, host);
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    });
  }
}
