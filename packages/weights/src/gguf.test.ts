import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { f32ToBf16, f32ToF16 } from "@ft/tensor";
import { golden, sharedData } from "@ft/testing";
import { describe, expect, it } from "vitest";
import {
  expectFtError,
  ggufBytes,
  ggufTensor,
  goldenFile,
  goldenPath,
  type Piece,
  pack,
  temporaryFolder,
} from "../test/fixtures.ts";
import { ggufEncodings } from "./encoding.ts";
import { openGguf } from "./gguf.ts";
import { readRows, type WeightSource } from "./source.ts";

interface Expected {
  metadata: { [key: string]: unknown };
  tensors: { [name: string]: { dtype: string; shape: number[]; start: number } };
  block_sizes: { [name: string]: [type: number, elements: number, bytes: number] };
}
const expected = await golden<Expected>(goldenFile("gguf-quants/expected.json"));
const all = await readFile(goldenFile("gguf-quants/values.f32"));
const tiny = goldenPath("gguf-quants/tiny.gguf");

/** Bit patterns: a comparison of numbers would let -0 pass for 0. */
const bits = (x: Float32Array) => new Uint32Array(x.buffer, x.byteOffset, x.length);

function isIterable(x: unknown): x is Iterable<unknown> {
  return typeof x === "object" && x !== null && Symbol.iterator in x;
}

async function open(bytes: Uint8Array): Promise<WeightSource> {
  const path = join(await temporaryFolder(), "x.gguf");
  await writeFile(path, bytes);
  return openGguf(path);
}

describe("a file of the gguf package", () => {
  it("gives its metadata, of every type", async () => {
    await using source = await openGguf(tiny);
    expect(source.metadata.get("general.architecture")).toBe("llama");
    // JSON has neither booleans in u8 arrays, nor f32, nor whole numbers beyond 2^53, which the script writes as text.
    const plain = (v: unknown) => (typeof v !== "bigint" ? v : Number.isSafeInteger(Number(v)) ? Number(v) : String(v));
    for (const [key, value] of Object.entries(expected.metadata)) {
      const got = source.metadata.get(key);
      if (!Array.isArray(value)) expect(plain(got), key).toEqual(value);
      else if (isIterable(got)) {
        const wanted = value.map((v) =>
          got instanceof Float32Array ? Math.fround(v) : typeof v === "boolean" ? +v : v,
        );
        expect([...got].map(plain), key).toEqual(wanted);
      } else expect.unreachable(`${key} is no array`);
    }
    expect(source.metadata.get("test.array.int16")).toBeInstanceOf(Int16Array);
    expect(source.metadata.get("test.array.uint64")).toBeInstanceOf(BigUint64Array);
    expect(source.metadata.get("test.uint64.large")).toBe(2n ** 64n - 1n);
    expect(source.metadata.get("test.uint64")).toBe(2 ** 53 - 1);
  });

  it.each(Object.entries(expected.tensors))("dequantises %s to the bit", async (name, { dtype, shape, start }) => {
    await using source = await openGguf(tiny);
    const info = source.tensors.get(name)!;
    expect([info.dtype, info.shape]).toEqual([dtype, shape]);
    const wanted = new Uint32Array(
      all.buffer.slice(all.byteOffset + start * 4, all.byteOffset + (start + info.size) * 4),
    );
    const values = await source.read(name, "f32");
    expect(bits(values)).toEqual(wanted);
    expect(await source.read(name, "bf16")).toEqual(f32ToBf16(values));
    expect(await source.read(name, "f16")).toEqual(f32ToF16(values));
    const width = shape.at(-1)!;
    const row = info.size / shape[0]!;
    expect(bits(await readRows(source, name, 1, 1, "f32"))).toEqual(wanted.subarray(row, 2 * row));
    // a window that starts and ends inside quantised blocks
    const from = Math.min(width - 1, 21);
    const count = Math.min(info.size - from, width + 3);
    expect(bits(await source.readWindow(name, from, count, "f32"))).toEqual(wanted.subarray(from, from + count));
  });

  it("covers every type that can be read as floats", () => {
    const types = new Set(Object.values(expected.tensors).map((t) => t.dtype));
    const readable = [...ggufEncodings.values()].filter(({ floats, name }) => floats && name !== "F64");
    expect([...types].sort()).toEqual(readable.map(({ name }) => name).sort());
    expect(types).toContain("Q6_K");
  });

  it("knows the block size of every type", () => {
    const ours = [...ggufEncodings].map(([type, { name, elements, bytes }]) => [name, [type, elements, bytes]]);
    expect(Object.fromEntries(ours)).toEqual(expected.block_sizes);
  });

  it("does not read quantised blocks as whole numbers", async () => {
    await using source = await openGguf(tiny);
    await expectFtError(source.read("q8_0.weight", "i8"), "dtype", /stored as Q8_0, not as whole numbers/);
  });
});

const vocabulary = sharedData("gguf/ggml-vocab-llama-spm.gguf");
it.skipIf(vocabulary === undefined)("reads the vocabulary file of llama.cpp", async () => {
  await using source = await openGguf(vocabulary!);
  expect(source.tensors.size).toBe(0);
  const tokens = source.metadata.get("tokenizer.ggml.tokens");
  expect(tokens).toHaveLength(32_000);
  expect(tokens).toContain("▁hello");
  expect(source.metadata.get("tokenizer.ggml.scores")).toBeInstanceOf(Float32Array);
  expect(source.metadata.get("tokenizer.ggml.bos_token_id")).toBe(1);
});

describe("small files made here", () => {
  it("reads version 2, no tensors, an alignment of its own, scalars and nested arrays", async () => {
    const nested = pack(
      ["text", "n"],
      ["u32", 9],
      ["u32", 9],
      ["u64", 2],
      ["u32", 4],
      ["u64", 2],
      ["u32", 7],
      ["u32", 8],
      ["u32", 8],
      ["u64", 1],
      ["text", "x"],
    );
    await using v2 = await open(ggufBytes({ version: 2, keys: [nested] }));
    expect(v2.metadata.get("n")).toEqual([new Uint32Array([7, 8]), ["x"]]);
    const alignment = pack(["text", "general.alignment"], ["u32", 4], ["u32", 64]);
    const head = ggufBytes({
      keys: [alignment],
      tensors: [ggufTensor("a", [], 0, 0), ggufTensor("b", [3, 2], 24, 64)],
    });
    const data = Buffer.alloc(64 + 6).fill(1, 64);
    await using source = await open(Buffer.concat([head, Buffer.alloc((64 - (head.length % 64)) % 64), data]));
    expect(source.tensors.get("a")!.shape).toEqual([]);
    expect(source.tensors.get("b")!.shape).toEqual([2, 3]);
    expect([...(await source.read("b", "i8"))]).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it("opens a file with types it cannot read, and says what to do on reading", async () => {
    await using source = await open(ggufBytes({ tensors: [ggufTensor("a", [256], 23, 0)], data: 136 }));
    await expectFtError(source.read("a", "f32"), "unsupported", /"a" is stored as IQ4_XS.*llama-quantize/);
  });
});

const key = (...pieces: Piece[]) => [pack(["text", "k"], ...pieces)];
const oneTensor = (dims: readonly (number | bigint)[], type: number, offset: number | bigint, data: number) =>
  ggufBytes({ tensors: [ggufTensor("t", dims, type, offset)], data });
const bad: readonly [name: string, bytes: Buffer, message: RegExp][] = [
  ["an empty file", Buffer.alloc(0), /takes 16 bytes but the file has 0/],
  ["another magic", Buffer.alloc(64, "GGML"), /does not start with GGUF/],
  ["a file cut within the counts", ggufBytes({}).subarray(0, 20), /takes 8 bytes but the file has 4/],
  ["2^64 - 1 tensors", ggufBytes({ tensorCount: 2n ** 64n - 1n }), /18446744073709551615 tensors are over the limit/],
  ["tensors beyond the file", ggufBytes({ tensorCount: 99 }), /99 tensors do not fit/],
  ["2^64 - 1 keys", ggufBytes({ keyCount: 2n ** 64n - 1n }), /keys are over the limit/],
  ["keys beyond the file", ggufBytes({ keyCount: 99 }), /99 metadata keys do not fit/],
  [
    "a key of 2^63 bytes",
    ggufBytes({ keys: [pack(["u64", 2n ** 63n], Buffer.alloc(64))] }),
    /a text of 9223372036854775808 bytes/,
  ],
  ["a key beyond the file", ggufBytes({ keys: [pack(["u64", 5_000], Buffer.alloc(64))] }), /a text of 5000 bytes/],
  [
    "a key that is not UTF-8",
    ggufBytes({ keys: [pack(["u64", 1], Buffer.from([0xff]), ["u32", 0], ["u8", 0])] }),
    /not UTF-8/,
  ],
  [
    "a key twice",
    ggufBytes({ keys: [...key(["u32", 0], ["u8", 1]), ...key(["u32", 0], ["u8", 1])] }),
    /the metadata key "k" a second time/,
  ],
  ["value type 13", ggufBytes({ keys: key(["u32", 13], ["u8", 0]) }), /"k": the unknown value type 13/],
  ["the boolean 2", ggufBytes({ keys: key(["u32", 7], ["u8", 2]) }), /the boolean 2/],
  [
    "an array of type 13",
    ggufBytes({ keys: key(["u32", 9], ["u32", 13], ["u64", 0]) }),
    /an array of the unknown type 13/,
  ],
  [
    "an array beyond the file",
    ggufBytes({ keys: key(["u32", 9], ["u32", 4], ["u64", 1_000]) }),
    /an array of 1000 items does not fit/,
  ],
  ["an array of 2^63 numbers", ggufBytes({ keys: key(["u32", 9], ["u32", 12], ["u64", 2n ** 63n]) }), /does not fit/],
  [
    "an array whose bytes wrap around 2^64",
    ggufBytes({ keys: key(["u32", 9], ["u32", 12], ["u64", 2n ** 61n + 1n]) }),
    /does not fit/,
  ],
  ["texts beyond the file", ggufBytes({ keys: key(["u32", 9], ["u32", 8], ["u64", 1_000]) }), /does not fit/],
  [
    "an array of booleans with a 3",
    ggufBytes({ keys: key(["u32", 9], ["u32", 7], ["u64", 1], ["u8", 3]) }),
    /boolean above 1/,
  ],
  [
    "ten arrays deep",
    ggufBytes({
      keys: key(
        ["u32", 9],
        ...Array(10)
          .fill([
            ["u32", 9],
            ["u64", 1],
          ])
          .flat(),
      ),
      data: 64,
    }),
    /nested deeper than 8/,
  ],
  [
    "20,000 arrays",
    ggufBytes({ keys: key(["u32", 9], ["u32", 9], ["u64", 20_000], Buffer.alloc(20_000 * 12)) }),
    /more than 10000 arrays/,
  ],
  [
    "an alignment of 13",
    ggufBytes({ keys: [pack(["text", "general.alignment"], ["u32", 4], ["u32", 13])] }),
    /general.alignment is 13/,
  ],
  [
    "an alignment of 0",
    ggufBytes({ keys: [pack(["text", "general.alignment"], ["u32", 4], ["u32", 0])] }),
    /general.alignment is 0/,
  ],
  [
    "an alignment of text",
    ggufBytes({ keys: [pack(["text", "general.alignment"], ["u32", 8], ["text", "a"])] }),
    /is a, not a power/,
  ],
  ["five axes", oneTensor([1, 1, 1, 1, 1], 0, 0, 4), /"t" has 5 axes/],
  [
    "2^32 - 1 axes",
    ggufBytes({ tensors: [pack(["text", "t"], ["u32", 2 ** 32 - 1], Buffer.alloc(32))] }),
    /has 4294967295 axes/,
  ],
  ["an axis of 2^63", oneTensor([2n ** 63n], 0, 0, 4), /an axis of size 9223372036854775808/],
  [
    "a product beyond 2^64",
    oneTensor([4_194_305, 4_194_305, 211_106_198_978_564], 0, 0, 4),
    /multiply to more than 2\^53/,
  ],
  [
    "the same, times 0",
    oneTensor([4_194_305, 4_194_305, 211_106_198_978_564, 0], 0, 0, 4),
    /multiply to more than 2\^53/,
  ],
  ["type 4, long removed", oneTensor([32], 4, 0, 32), /unknown type number 4/],
  ["type 2^32 - 1", oneTensor([32], 2 ** 32 - 1, 0, 32), /unknown type number 4294967295/],
  [
    "rows that are no whole blocks",
    oneTensor([31], 8, 0, 64),
    /rows of 31 values are no whole number of Q8_0 blocks of 32/,
  ],
  ["an offset that is not its place", oneTensor([1], 0, 32, 64), /offset 32, where 0 is its place/],
  ["an offset of 2^64 - 32", oneTensor([1], 0, 2n ** 64n - 32n, 64), /offset 18446744073709551584/],
  ["data that end early", oneTensor([64], 0, 0, 64), /ends at byte \d+, beyond the end/],
  [
    "a name of 2,000 bytes",
    ggufBytes({ tensors: [ggufTensor("x".repeat(2_000), [1], 0, 0)], data: 4 }),
    /at most 1024/,
  ],
  [
    "a name twice",
    ggufBytes({ tensors: [ggufTensor("t", [1], 0, 0), ggufTensor("t", [1], 0, 32)], data: 64 }),
    /a second tensor "t"/,
  ],
  [
    "two tensors in one place",
    ggufBytes({ tensors: [ggufTensor("t", [1], 0, 0), ggufTensor("u", [1], 0, 0)], data: 64 }),
    /"u" lies at offset 0, where 32/,
  ],
  ["__proto__", ggufBytes({ tensors: [ggufTensor("__proto__", [1], 0, 0)], data: 4 }), /tensor "__proto__"/],
];

describe("bad files", () => {
  it.each(bad)("refuses %s", async (_, bytes, message) => {
    await expectFtError(open(bytes), "format", message);
  });

  it.each([0, 1, 4])("refuses version %i", async (version) => {
    await expectFtError(open(ggufBytes({ version })), "unsupported", /is GGUF version \d; versions 2 and 3/);
  });

  it("refuses big-endian files and parts of split ones", async () => {
    await expectFtError(open(ggufBytes({ version: 3 << 24 })), "unsupported", /big-endian/);
    const split = pack(["text", "split.count"], ["u32", 4], ["u32", 3]);
    await expectFtError(open(ggufBytes({ keys: [split] })), "unsupported", /one of 3 parts.*llama-gguf-split/);
  });

  it("refuses a file cut anywhere", async () => {
    const whole = await readFile(tiny);
    const path = join(await temporaryFolder(), "cut.gguf");
    for (let length = 0; length < whole.length - 32; length += 37) {
      await writeFile(path, whole.subarray(0, length));
      await expectFtError(openGguf(path), "format", /./);
    }
  });
});
