import type { StoredEntry } from "@ft/nn";
import type { DType, Tensor } from "@ft/tensor";
import { dynamicMap, nestedBlockSize } from "@ft/tensor/ops";
import type { Int8Linear } from "../int8-linear.ts";
import type { Nf4Linear } from "../nf4-linear.ts";
import { names4bit, namesInt8 } from "./layout.ts";
import { writeQuantState } from "./quant-state.ts";
import { storedValues } from "./tables.ts";

const read = (name: string, value: Tensor<DType, any>, shape: readonly number[] = value.shape): StoredEntry => ({
  name,
  dtype: value.dtype,
  shape,
  data: () => value.read(),
});

const table = (name: string, values: Float32Array<ArrayBuffer>): StoredEntry => ({
  name,
  dtype: "f32",
  shape: [values.length],
  data: () => values,
});

/** The weight of the layer at `path` in bitsandbytes' layout, as its QuantState is saved. */
export function entries4bit(path: string, { weight, facts }: Nf4Linear): StoredEntry[] {
  const { type, blockSize, shape, codes, absmax, nestedAbsmax } = weight;
  const name = `${path}.weight`;
  const names = names4bit(name, type);
  const nested = facts.offset === undefined ? {} : { nested: { blockSize: nestedBlockSize, offset: facts.offset } };
  const state = writeQuantState({ type, blockSize, dtype: facts.from, shape, ...nested });
  const entries = [
    read(name, codes, [codes.shape[0] ?? 0, 1]),
    read(names.absmax, absmax),
    table(names.map, storedValues[type]),
    { name: names.state, dtype: "u8", shape: [state.length], data: () => state } as const,
  ];
  if (nestedAbsmax) entries.push(read(names.nestedAbsmax, nestedAbsmax), table(names.nestedMap, dynamicMap));
  return entries;
}

/** The weight of the layer at `path` in bitsandbytes' layout, as a Linear8bitLt is saved; format 0 stands for rows. */
export function entriesInt8(path: string, { weight: { codes, absmax } }: Int8Linear): StoredEntry[] {
  const name = `${path}.weight`;
  const names = namesInt8(name);
  return [
    read(name, codes),
    read(names.absmax, absmax),
    { name: names.format, dtype: "u8", shape: [], data: () => new Uint8Array(1) },
  ];
}
