import { FtError, sizeOf, windowElements } from "@ft/tensor";
import type { ExportSource } from "../source/export-source.ts";
import { halves } from "../source/halves.ts";
import { windows } from "../source/windows.ts";

type Values = Float32Array<ArrayBuffer>;

/** Reads the weights of a model for one export, which can be given up. */
export class WeightReader {
  readonly source: ExportSource;
  readonly #signal: AbortSignal | undefined;
  readonly #onTensor: ((name: string) => void) | undefined;

  constructor(source: ExportSource, signal?: AbortSignal, onTensor?: (name: string) => void) {
    this.source = source;
    this.#signal = signal;
    this.#onTensor = onTensor;
  }

  shape(name: string): readonly number[] {
    const tensor = this.source.tensors.get(name);
    if (tensor) return tensor.shape;
    throw new FtError("missing", `[onnx] ${this.source.path} has no weight "${name}"`, "export a complete model");
  }

  /** [out, in] of a matrix. */
  matrix(name: string): readonly [number, number] {
    const [out, inner] = this.shape(name);
    return [out ?? 0, inner ?? 1];
  }

  /** The bytes of a tensor in f32 or f16, row-major. Errors: "numeric" (beyond f16). */
  async *floats(name: string, dtype: "f32" | "f16"): AsyncGenerator<Uint8Array, void, void> {
    this.#onTensor?.(name);
    for await (const values of windows(this.source, { name, shape: this.shape(name) }, this.#signal))
      yield dtype === "f32" ? asBytes(values) : asBytes(halves(name, values, "export it as fp32 or int8"));
  }

  /** Whole rows of a matrix, some at a time. */
  async *rows(name: string): AsyncGenerator<{ readonly row: number; readonly values: Values }, void, void> {
    this.#onTensor?.(name);
    const [out, inner] = this.matrix(name);
    const step = Math.max(1, Math.floor(windowElements / inner));
    for (let row = 0; row < out; row += step) {
      this.#signal?.throwIfAborted();
      const values = await this.source.readWindow(name, row * inner, Math.min(step, out - row) * inner);
      yield { row, values };
    }
  }

  /** Values of a window, as they are. */
  async window(name: string, start: number, count: number): Promise<Values> {
    this.#signal?.throwIfAborted();
    if (start === 0) this.#onTensor?.(name);
    return this.source.readWindow(name, start, Math.min(count, sizeOf(this.shape(name)) - start));
  }
}

export function asBytes(array: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
