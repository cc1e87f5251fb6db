import { createCpuBackend } from "@ft/backend-cpu";
import type { Linear, StoredTensors } from "@ft/nn";
import { type Backend, bytesPerElement, type DataOf, type DType, dataOf, FtError, memory, sizeOf } from "@ft/tensor";
import { randomFrom } from "@ft/testing";
import { beforeAll, describe, expect, it } from "vitest";
import { type BitsandbytesOptions, bitsandbytesFormat, quantizeTo4bit, quantizeToInt8 } from "../src/index.ts";
import { held } from "./support.ts";

/* Files that are not what they should be: every error names the tensor and the file, and nothing is left behind. */

const path = "layers.0.up";
const name = `${path}.weight`;
const shape: readonly [number, number] = [24, 30];

interface Entry {
  dtype: DType;
  shape: readonly number[];
  data: DataOf[DType];
}
type File = Map<string, Entry>;

/** A file in memory, with the reading that formats use. */
function source(file: File): StoredTensors {
  const entry = (key: string, dtype: DType): Entry => {
    const found = file.get(key);
    if (found === undefined) throw new FtError("missing", `no ${key}`, "ask for another");
    if (found.dtype !== dtype) throw new FtError("dtype", `${key} is ${found.dtype}`, "ask for that");
    return found;
  };
  return {
    path: "model.safetensors",
    tensors: new Map(
      [...file].map(([key, { dtype, shape: sizes }]) => [
        key,
        { dtype: dtype.toUpperCase(), shape: sizes, size: sizeOf(sizes), host: dtype },
      ]),
    ),
    read: async (key, dtype) => entry(key, dtype).data.slice() as DataOf[typeof dtype],
    readWindow: async (key, start, count, dtype) =>
      entry(key, dtype).data.slice(start, start + count) as DataOf[typeof dtype],
  };
}

let backend: Backend;
let files: { readonly [kind: string]: () => File };

beforeAll(async () => {
  backend = await createCpuBackend();
  const normal = randomFrom(5);
  const values = Float32Array.from({ length: sizeOf(shape) }, () => normal.normal());
  const entries = async (linear: Linear): Promise<[string, Entry][]> => {
    const made: [string, Entry][] = [];
    for (const { data, ...entry } of bitsandbytesFormat().entries(path, linear) ?? [])
      made.push([entry.name, { ...entry, data: await data() }]);
    linear.dispose();
    return made;
  };
  const from = held("w", "f32", values, shape[0]);
  const format = { type: "nf4", blockSize: 64 } as const;
  const kinds = {
    nested: await entries(await quantizeTo4bit(backend, from, { ...format, doubleQuant: true })),
    plain: await entries(await quantizeTo4bit(backend, from, { ...format, doubleQuant: false })),
    int8: await entries(await quantizeToInt8(backend, from)),
    floats: [[name, { dtype: "f32", shape, data: values }]] as [string, Entry][],
  };
  files = Object.fromEntries(
    Object.entries(kinds).map(([kind, all]) => [
      kind,
      () => new Map(all.map(([key, entry]) => [key, { ...entry, data: entry.data.slice() }])),
    ]),
  );
});

/** Loads the one weight of a file, as loadModel does. */
function load(file: File, options: BitsandbytesOptions = {}): Promise<Linear | undefined> {
  const at = { path, source: source(file), name, shape, dtype: "f32", backend, quantized: false } as const;
  return bitsandbytesFormat(options).load(at);
}

const state = `${name}.quant_state.bitsandbytes__nf4`;
/** Rewrites one field of the JSON beside a weight; undefined takes it out. */
function field(file: File, key: string, value: unknown): void {
  const json = JSON.parse(new TextDecoder().decode(file.get(state)!.data as Uint8Array));
  const data = new TextEncoder().encode(JSON.stringify({ ...json, [key]: value }));
  file.set(state, { dtype: "u8", shape: [data.length], data });
}
/** Replaces a tensor by one of another dtype or size, filled with zeros. */
function put(file: File, key: string, dtype: DType, sizes: readonly number[]): void {
  const data = dataOf[dtype](new ArrayBuffer(sizeOf(sizes) * bytesPerElement[dtype]));
  file.set(key, { dtype, shape: sizes, data });
}

const file = "of model.safetensors";
type Case = readonly [what: string, kind: string, damage: (file: File) => unknown, message: string];
const cases: readonly Case[] = [
  ["no absmax", "nested", (f) => f.delete(`${name}.absmax`), `"${name}.absmax" ${file} is missing`],
  ["no quant_map", "plain", (f) => f.delete(`${name}.quant_map`), `"${name}.quant_map" ${file} is missing`],
  [
    "no nested_absmax",
    "nested",
    (f) => f.delete(`${name}.nested_absmax`),
    `"${name}.nested_absmax" ${file} is missing`,
  ],
  [
    "no nested_quant_map",
    "nested",
    (f) => f.delete(`${name}.nested_quant_map`),
    `nested_quant_map" ${file} is missing`,
  ],
  ["no quant_state", "nested", (f) => f.delete(state), `"${state}" ${file} is missing`],
  ["no SCB", "int8", (f) => f.delete(`${path}.SCB`), `"${path}.SCB" ${file} is missing`],
  ["a short absmax", "nested", (f) => put(f, `${name}.absmax`, "u8", [11]), "is U8 11; it should have 12 values of u8"],
  ["a plain absmax that is nested", "plain", (f) => put(f, `${name}.absmax`, "u8", [12]), "12 values of f32"],
  ["a long nested_absmax", "nested", (f) => put(f, `${name}.nested_absmax`, "f32", [2]), "1 values of f32"],
  ["short codes", "nested", (f) => put(f, name, "u8", [359, 1]), `"${name}" ${file} has 359 bytes`],
  ["long codes", "plain", (f) => put(f, name, "u8", [361, 1]), `"${name}" ${file} is U8 361×1; it should be 360 bytes`],
  ["codes of a transposed int8", "int8", (f) => put(f, name, "i8", [30, 24]), "is 30×24; the model's weight is 24×30"],
  ["a short SCB", "int8", (f) => put(f, `${path}.SCB`, "f32", [23]), "it should have 24 values of f32"],
  [
    "tiles",
    "int8",
    (f) => f.set(`${path}.weight_format`, { dtype: "u8", shape: [], data: Uint8Array.of(2) }),
    "is not 0",
  ],
  ["another table", "plain", (f) => put(f, `${name}.quant_map`, "f32", [16]), "is not the table of nf4"],
  ["another map", "nested", (f) => put(f, `${name}.nested_quant_map`, "f32", [256]), "is not the signed dynamic map"],
  [
    "a state that is not JSON",
    "nested",
    (f) => put(f, state, "u8", [40]),
    `"${state}" ${file}: the quant_state is not JSON`,
  ],
  [
    "a state that is null",
    "nested",
    (f) => f.set(state, { dtype: "u8", shape: [4], data: new TextEncoder().encode("null") }),
    "quant_type is absent",
  ],
  ["another type", "nested", (f) => field(f, "quant_type", "fp4"), "has quant_type fp4"],
  ["no such type", "nested", (f) => field(f, "quant_type", "int4"), 'quant_type is "int4"; it is "nf4" or "fp4"'],
  ["another shape", "nested", (f) => field(f, "shape", [30, 24]), "has shape 30×24; the model's weight is 24×30"],
  ["one size", "plain", (f) => field(f, "shape", [720]), "shape is [720]"],
  ["another block size", "plain", (f) => field(f, "blocksize", 128), "it should have 6 values of f32"],
  ["a block size there is not", "plain", (f) => field(f, "blocksize", 48), "has blocksize 48"],
  ["a block size that is text", "plain", (f) => field(f, "blocksize", "64"), 'blocksize is "64"; it is a positive'],
  ["no dtype", "plain", (f) => field(f, "dtype", undefined), "dtype is absent; it is one of float32"],
  [
    "an offset that is text",
    "nested",
    (f) => field(f, "nested_offset", "0.1"),
    'nested_offset is "0.1"; it is a number of float32',
  ],
  ["another nested block size", "nested", (f) => field(f, "nested_blocksize", 128), "has nested_blocksize 128"],
  [
    "an offset beyond f32",
    "nested",
    (f) => field(f, "nested_offset", 1e39),
    "nested_offset is 1e+39; it is a number of float32",
  ],
  [
    "an absmax that is not a number",
    "plain",
    (f) => f.get(`${name}.absmax`)!.data.fill(Number.NaN, 3, 4),
    `"${name}.absmax" ${file} is NaN at 3`,
  ],
  [
    "an infinite nested absmax",
    "nested",
    (f) => f.get(`${name}.nested_absmax`)!.data.fill(Number.POSITIVE_INFINITY),
    "is Infinity at 0",
  ],
  [
    "an infinite SCB",
    "int8",
    (f) => f.get(`${path}.SCB`)!.data.fill(Number.NEGATIVE_INFINITY, 23),
    "is -Infinity at 23",
  ],
  ["a nested dtype", "nested", (f) => field(f, "nested_dtype", "float16"), 'nested_dtype is "float16"'],
  ["floats of another shape", "floats", (f) => put(f, name, "f32", [30, 24]), `"${name}" ${file} is 30×24`],
  ["NaN", "floats", (f) => f.get(name)!.data.fill(Number.NaN, 214, 215), `"${name}" ${file} is NaN at row 7, column 4`],
  [
    "an infinity",
    "floats",
    (f) => f.get(name)!.data.fill(Number.NEGATIVE_INFINITY, 0, 1),
    "is -Infinity at row 0, column 0",
  ],
];

describe("a damaged checkpoint", () => {
  it.each(["nested", "plain", "int8", "floats"])("is read when it is not: %s", async (kind) => {
    const { live } = memory(backend);
    const linear = await load(files[kind]!());
    expect([linear?.outFeatures, linear?.inFeatures]).toEqual(shape);
    linear?.dispose();
    expect(memory(backend).live).toBe(live);
  });

  it("may keep its codes in any dtype: bnb_4bit_quant_storage", async () => {
    const plain = await load(files.nested!());
    for (const dtype of ["bf16", "f32", "i8"] as const) {
      const stored = files.nested!();
      const { data } = stored.get(name)!;
      const codes = dataOf[dtype](data.buffer);
      stored.set(name, { dtype, shape: [codes.length, 1], data: codes });
      const linear = await load(stored);
      const [a, b] = [linear!.materialize("f32"), plain!.materialize("f32")];
      expect(await a.read()).toEqual(await b.read());
      for (const made of [a, b, linear]) made?.dispose();
    }
    plain?.dispose();
  });

  it.each(cases)("%s", async (_, kind, damage, message) => {
    const { live } = memory(backend);
    const damaged = files[kind]!();
    damage(damaged);
    const error: unknown = await load(damaged).catch((thrown: unknown) => thrown);
    expect(FtError.is(error) && error.message).toContain(message);
    expect(memory(backend).live).toBe(live);
  });

  it("is an FtError or a Linear, whatever byte changes and whatever is missing", async () => {
    const { live } = memory(backend);
    const random = randomFrom(99);
    let refused = 0;
    for (let round = 0; round < 1500; round++) {
      const damaged = files[random.pick(["nested", "plain", "int8"])]!();
      const key = random.pick([...damaged.keys()]);
      const entry = damaged.get(key)!;
      const kind = random.int(0, 3);
      const bytes = new Uint8Array(entry.data.buffer, entry.data.byteOffset, entry.data.byteLength);
      if (kind === 0) damaged.delete(key);
      else if (kind === 1) put(damaged, key, random.pick(["u8", "i8", "f32", "bf16", "i32"]), [random.int(0, 400)]);
      else if (kind === 2 && damaged.has(state))
        field(
          damaged,
          random.pick(["blocksize", "shape", "dtype", "nested_offset"]),
          random.pick([0, -1, 1e300, [], {}, null, [1, 2, 3], "x"]),
        );
      else bytes[random.int(0, bytes.length - 1)]! ^= 1 << random.int(0, 7);
      try {
        const linear = await load(damaged);
        linear?.dispose();
      } catch (error) {
        if (!FtError.is(error)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(500);
    expect(memory(backend).live).toBe(live);
  });
});

describe("options that there are not", () => {
  it.each([0, 16, 48, 63, 64.5, 8192, Number.NaN])("block size %s", (blockSize) => {
    expect(() => bitsandbytesFormat({ blockSize })).toThrow(
      `block size ${blockSize}; use one of 32, 64, 128, 256, 512, 1024, 2048, 4096`,
    );
  });
});
