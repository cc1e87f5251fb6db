import { FtError, f32ToBf16, f32ToF16 } from "@ft/tensor";
import { q4_0 } from "./q4_0.ts";
import { q4_1 } from "./q4_1.ts";
import { q4_k } from "./q4_k.ts";
import { q5_0 } from "./q5_0.ts";
import { q5_1 } from "./q5_1.ts";
import { q5_k } from "./q5_k.ts";
import { q6_k } from "./q6_k.ts";
import { q8_0 } from "./q8_0.ts";
import { quantizeExports } from "./quantize-module.ts";

/** The types of ggml that tensors can be written as. */
export type GgufTypeName =
  | "F32"
  | "F16"
  | "BF16"
  | "Q8_0"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K";

/** A type of ggml that tensors can be written as: blocks of `elements` values in `bytes` bytes (1 value for F32, F16, BF16). */
export interface GgufType {
  readonly name: GgufTypeName;
  /** its number in a GGUF tensor record (`ggml_type`) */
  readonly id: number;
  readonly elements: number;
  readonly bytes: number;
  /**
   * Whole blocks, one after another, as ggml's reference quantiser makes them without an importance matrix, to the byte.
   * Errors: "shape" (no whole number of blocks), "numeric" (a value that is not finite or beyond the type's range, with its index).
   */
  quantize(values: Float32Array): Uint8Array<ArrayBuffer>;
}

const bytesOf = (a: Uint16Array<ArrayBuffer> | Float32Array<ArrayBuffer>) => new Uint8Array(a.buffer);

const types: ReadonlyMap<string, GgufType> = new Map(
  [
    direct("F32", 0, 4, (values) => bytesOf(values.slice())),
    direct("F16", 1, 2, (values) => {
      const patterns = f32ToF16(values);
      for (let i = 0; i < patterns.length; i++)
        if ((patterns[i]! & 0x7fff) === 0x7c00) throw beyond("F16", values, i, 1);
      return bytesOf(patterns);
    }),
    direct("BF16", 30, 2, (values) => {
      const patterns = f32ToBf16(values);
      for (let i = 0; i < patterns.length; i++)
        if ((patterns[i]! & 0x7fff) === 0x7f80) throw beyond("BF16", values, i, 1);
      return bytesOf(patterns);
    }),
    blocks("Q8_0", q8_0),
    blocks("Q4_0", q4_0),
    blocks("Q4_1", q4_1),
    blocks("Q5_0", q5_0),
    blocks("Q5_1", q5_1),
    blocks("Q4_K", q4_k),
    blocks("Q5_K", q5_k),
    blocks("Q6_K", q6_k),
  ].map((type) => [type.name, type]),
);

/** Looks a type up by its name in ggml: "Q4_K". Errors: "input" (no type that can be written). */
export function ggufType(name: string): GgufType {
  const type = types.get(name);
  if (type) return type;
  throw new FtError("input", `[ggufType] no tensors are written as "${name}"`, `use ${[...types.keys()].join(", ")}`);
}

function direct(
  name: GgufTypeName,
  id: number,
  bytes: number,
  convert: (values: Float32Array) => Uint8Array<ArrayBuffer>,
): GgufType {
  const quantize = (values: Float32Array) => {
    for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) throw notFinite(name, values, i);
    return convert(values);
  };
  return { name, id, elements: 1, bytes, quantize };
}

function blocks(name: GgufTypeName, format: { id: number; elements: number; bytes: number }): GgufType {
  const { id, elements, bytes } = format;
  const type: GgufType = {
    ...{ name, id, elements, bytes },
    quantize(values) {
      checkWholeBlocks(type, values);
      const { memory, capacity, input, output, quantize } = quantizeExports();
      const out = new Uint8Array((values.length / elements) * bytes);
      const step = capacity();
      for (let at = 0; at < values.length; at += step) {
        const part = values.subarray(at, at + step);
        new Float32Array(memory.buffer, input(), part.length).set(part);
        const outcome = quantize(id, part.length);
        if (outcome !== -1) throw refusal(type, values, at, outcome);
        const made = (part.length / elements) * bytes;
        out.set(new Uint8Array(memory.buffer, output(), made), (at / elements) * bytes);
      }
      return out;
    },
  };
  return type;
}

export function checkWholeBlocks({ name, elements }: GgufType, values: Float32Array): void {
  if (values.length % elements !== 0)
    throw new FtError(
      "shape",
      `[quantize ${name}] ${values.length} values are no whole number of blocks of ${elements}`,
      "give whole rows whose length the block divides, or choose a type with smaller blocks",
    );
}

/** The error for an outcome of the module on the values from `at` on. */
export function refusal(type: GgufType, values: Float32Array, at: number, outcome: number): FtError {
  return outcome >= 0
    ? notFinite(type.name, values, at + outcome)
    : beyond(type.name, values, at - 2 - outcome, type.elements);
}

function notFinite(name: GgufTypeName, values: Float32Array, i: number): FtError {
  return new FtError("numeric", `[quantize ${name}] value ${i} is ${values[i]}`, "the weights are damaged: check them");
}

function beyond(name: GgufTypeName, values: Float32Array, from: number, count: number): FtError {
  const what = count === 1 ? `value ${from}, ${values[from]}, is` : `values ${from} to ${from + count - 1} are`;
  return new FtError("numeric", `[quantize ${name}] ${what} beyond its range`, "check the weights, or write F32");
}
