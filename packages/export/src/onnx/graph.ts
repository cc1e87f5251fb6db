import { FtError, sizeOf } from "@ft/tensor";
import type { OnnxAttributes, OnnxDType, OnnxNode, OnnxTensor } from "./proto.ts";

/** A tensor that a data file will hold. */
export interface Stored {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly dims: readonly number[];
}

/** Tensors that are made together, such as codes and their scales, and lie in one data file. */
export interface Weight {
  readonly tensors: readonly Stored[];
  /** their bytes in order; no piece reaches over the end of a tensor */
  data(): AsyncIterable<Uint8Array>;
}

/** Bytes of one element. */
export const elementBytes: { readonly [D in OnnxDType]: number } = {
  f32: 4,
  u8: 1,
  i8: 1,
  i32: 4,
  i64: 8,
  bool: 1,
  f16: 2,
};

export const bytesOf = ({ dtype, dims }: Stored): number => sizeOf(dims) * elementBytes[dtype];

/** Collects the nodes, constants and weights of a graph. Every value has one name; what a node gives is named after it. */
export class GraphBuilder {
  readonly nodes: OnnxNode[] = [];
  readonly constants: OnnxTensor[] = [];
  readonly weights: Weight[] = [];
  readonly domains: Set<string> = new Set();
  readonly #names = new Set<string>();
  #scope = "";

  /** Puts what `build` adds under a path: "layers.0/attention". */
  within<T>(path: string, build: () => T): T {
    const outer = this.#scope;
    this.#scope = outer === "" ? path : `${outer}/${path}`;
    try {
      return build();
    } finally {
      this.#scope = outer;
    }
  }

  /** Adds an operation and returns the name of its output. */
  node(op: string, inputs: readonly string[], attributes: OnnxAttributes = {}, output?: string): string {
    return this.#add("", op, inputs, attributes, output === undefined ? 1 : [output])[0]!;
  }
  /** An operation with several outputs. */
  split(op: string, inputs: readonly string[], outputs: number, attributes: OnnxAttributes = {}): string[] {
    return this.#add("", op, inputs, attributes, outputs);
  }
  /** An operation of ONNX Runtime's own. */
  contributed(op: string, inputs: readonly string[], attributes: OnnxAttributes): string {
    return this.#add("com.microsoft", op, inputs, attributes, 1)[0]!;
  }

  /** Whole numbers [n], or a single one without axes. */
  integers(values: readonly number[] | number): string {
    const list = typeof values === "number" ? [values] : values;
    const dims = typeof values === "number" ? [] : [values.length];
    const data = new Uint8Array(BigInt64Array.from(list, BigInt).buffer);
    return this.constant(`${dims.length === 0 ? "integer" : "integers"}_${list.join("_")}`, "i64", dims, data);
  }
  /** Floats [n], or a single one without axes. */
  floats(name: string, values: Float32Array<ArrayBuffer> | number): string {
    const list = typeof values === "number" ? Float32Array.of(values) : values;
    const dims = typeof values === "number" ? [] : [values.length];
    return this.constant(name, "f32", dims, new Uint8Array(list.buffer, list.byteOffset, list.byteLength));
  }
  /** A few values in the model file itself; those of a name that is known are the same. */
  constant(name: string, dtype: OnnxDType, dims: readonly number[], data: Uint8Array): string {
    if (this.constants.some((other) => other.name === name)) return name;
    this.#claim(name);
    this.constants.push({ name, dtype, dims, data });
    return name;
  }

  /** Adds tensors of a data file and returns their names. */
  weight(weight: Weight): string[] {
    for (const { name } of weight.tensors) this.#claim(name);
    this.weights.push(weight);
    return weight.tensors.map(({ name }) => name);
  }

  #add(
    domain: string,
    op: string,
    inputs: readonly string[],
    attributes: OnnxAttributes,
    made: number | readonly string[],
  ): string[] {
    const name = this.#free(`${this.#scope === "" ? "" : `${this.#scope}/`}${op}`);
    const outputs =
      typeof made === "number" ? Array.from({ length: made }, (_, i) => (i === 0 ? name : `${name}.${i}`)) : [...made];
    for (const each of new Set([name, ...outputs])) this.#claim(each);
    this.domains.add(domain);
    this.nodes.push({ op, domain, name, inputs, outputs, attributes });
    return outputs;
  }

  #free(wanted: string): string {
    for (let n = 0; ; n++) {
      const name = n === 0 ? wanted : `${wanted}_${n}`;
      if (!this.#names.has(name)) return name;
    }
  }
  #claim(name: string): void {
    if (this.#names.has(name))
      throw new FtError("input", `[onnx] two values are named "${name}"`, "give each its own name");
    this.#names.add(name);
  }
}
