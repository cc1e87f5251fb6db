import {
  hasBias,
  type ModelFacts,
  parameterShapes,
  projectionOf,
  projectionShape,
  type StoredWeight,
  weightMap,
} from "@ft/models";
import { DenseLinear, type Linear, type LinearFormat, type LinearHost } from "@ft/nn";
import { type Backend, FtError, type Parameter } from "@ft/tensor";
import { loadTensor, type WeightSource } from "@ft/weights";
import type { SourceTensor } from "./export-source.ts";
import { LazyLinear } from "./lazy-linear.ts";
import { windowOf } from "./windows.ts";

const again = "the weights are damaged, or the adapter's training diverged: use another file or an earlier checkpoint";

/** A model of which only norms and biases are in memory, and one layer at a time: adapters find their places in it. */
export class Layers implements LinearHost {
  readonly backend: Backend;
  readonly #source: WeightSource;
  readonly #facts: ModelFacts;
  readonly #format: LinearFormat | undefined;
  readonly #stored: ReadonlyMap<string, StoredWeight>;
  readonly #vectors = new Map<string, Parameter>();
  readonly #linears = new Map<string, Linear>();
  readonly #lazy = new Map<string, LazyLinear>();
  /** the values of the layer that was read last */
  #last: { readonly name: string; readonly values: Float32Array<ArrayBuffer> } | undefined;

  /** @param format reads what is quantised, and quantises on the way what is not */
  constructor(source: WeightSource, facts: ModelFacts, format: LinearFormat | undefined, backend: Backend) {
    this.backend = backend;
    this.#source = source;
    this.#facts = facts;
    this.#format = format;
    this.#stored = weightMap(source, facts.config, format);
  }

  /** Norms and biases, which adapters train and are recognised by. */
  async load(): Promise<void> {
    const { config } = this.#facts;
    for (const [name, shape] of parameterShapes(config))
      if (shape.length === 1) {
        const { name: at, transform } = this.#place(name);
        const options = { dtype: "f32", axes: ["out"], shape, ...(transform && { transform }) } as const;
        this.#vectors.set(name, await loadTensor(this.#source, at, this.backend, options));
      }
    for (const name of parameterShapes(config).keys()) {
      const projection = projectionOf(name);
      if (projection === undefined) continue;
      const path = name.slice(0, -".weight".length);
      const shape = projectionShape(config, projection);
      const bias = hasBias(config, projection) ? this.#vectors.get(`${path}.bias`) : undefined;
      const lazy = new LazyLinear(shape, bias, () => this.#loadLinear(path, shape));
      this.#lazy.set(path, lazy);
      this.#linears.set(path, lazy);
    }
  }

  parameters(): ReadonlyMap<string, Parameter> {
    return this.#vectors;
  }
  linears(): ReadonlyMap<string, Linear> {
    return this.#linears;
  }
  replaceLinear(path: string, linear: Linear): void {
    this.#linears.set(path, linear);
  }

  describe(name: string, shape: readonly number[]): SourceTensor {
    const host = this.#source.tensors.get(this.#place(name).name)?.host;
    return { name, shape, dtype: host === "bf16" || host === "f16" ? host : "f32" };
  }

  async readWindow(name: string, start: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    const values = await this.#values(name, start, count);
    for (let i = 0; i < values.length; i++)
      if (!Number.isFinite(values[i]))
        throw new FtError("numeric", `[export] ${name} is ${values[i]} at ${start + i}`, again);
    return values;
  }

  dispose(): void {
    for (const vector of this.#vectors.values()) vector.dispose();
    this.#last = undefined;
  }

  async #values(name: string, start: number, count: number): Promise<Float32Array<ArrayBuffer>> {
    const path = name.replace(/\.weight$/, "");
    const layer = this.#linears.get(path);
    const { name: at, transform } = this.#place(name);
    const lazy = this.#lazy.get(path);
    // as the file has it, unless something is done to it on the way
    if (lazy !== undefined && (layer !== lazy || this.#format !== undefined || transform !== undefined))
      return windowOf(await this.#whole(name, path, lazy), name, start, count);
    const vector = this.#vectors.get(name);
    if (vector) return windowOf(Float32Array.from(await vector.read()), name, start, count);
    return this.#source.readWindow(at, start, count, "f32");
  }

  async #whole(name: string, path: string, lazy: LazyLinear): Promise<Float32Array<ArrayBuffer>> {
    if (this.#last?.name === name) return this.#last.values;
    this.#last = undefined;
    const values = await lazy.whileLoaded(async () => {
      using dense = (this.#linears.get(path) ?? lazy).materialize("f32");
      return await dense.read();
    });
    this.#last = { name, values };
    return values;
  }

  async #loadLinear(path: string, shape: readonly [number, number]): Promise<Linear> {
    const { name, transform } = this.#place(`${path}.weight`);
    const { backend } = this;
    const rest = { shape, ...(transform && { transform }) };
    const { quantized } = this.#facts;
    const source = this.#source;
    const held = await this.#format?.load({ path, source, name, dtype: "f32", backend, quantized, ...rest });
    if (held) return held;
    const dense = await loadTensor(source, name, backend, { dtype: "f32", axes: ["out", "in"], ...rest });
    return new DenseLinear(dense);
  }

  #place(name: string): StoredWeight {
    const found = this.#stored.get(name);
    if (found) return found;
    throw new FtError("missing", `[export] ${this.#source.path} has no weight "${name}"`, "ask for one of its tensors");
  }
}
