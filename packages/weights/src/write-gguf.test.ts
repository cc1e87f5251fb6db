import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGguf } from "./gguf.ts";
import { ggufType } from "./gguf-blocks/gguf-type.ts";
import type { GgufValue } from "./gguf-value.ts";
import { type GgufEntry, writeGguf } from "./write-gguf.ts";

const golden = new URL("../../../tools/goldens/data/gguf-files/written.gguf", import.meta.url);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-write-gguf-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const count = Float32Array.from({ length: 192 }, (_, i) => i - 50);
const metadata = new Map<string, GgufValue>([
  ["general.architecture", ["string", "llama"]],
  ["test.u32", ["u32", 4_000_000_000]],
  ["test.i32", ["i32", -7]],
  ["test.f32", ["f32", 1e-5]],
  ["test.bool", ["bool", true]],
  ["test.string", ["string", "grüße 你好 🙂"]],
  ["test.u32s", ["u32[]", [0, 2 ** 32 - 1]]],
  ["test.i32s", ["i32[]", [-1, 5, 2 ** 31 - 1]]],
  ["test.f32s", ["f32[]", [0.5, -1e30]]],
  ["test.strings", ["string[]", ["<s>", "", "▁a", "🙂"]]],
]);

/** In pieces of 7 bytes, which fit nothing. */
function entry(name: string, shape: number[], type: string, values: Float32Array = count): GgufEntry {
  async function* data(): AsyncGenerator<Uint8Array> {
    const bytes = ggufType(type).quantize(values);
    for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7);
  }
  return { name, shape, type: ggufType(type), data };
}

const entries = [
  entry("a.weight", [6, 32], "F32"),
  entry("b.weight", [7], "F32", count.subarray(0, 7)),
  entry("c.weight", [2, 3, 32], "Q8_0"),
  entry("d.weight", [5], "F16", count.subarray(0, 5)),
  entry("e.weight", [6, 32], "BF16"),
];

describe("writeGguf", () => {
  it("writes what gguf.GGUFWriter writes, to the byte", async () => {
    const path = join(dir, "same.gguf");
    const bytes = await writeGguf(path, metadata, entries);
    const got = await readFile(path);
    expect(got.equals(await readFile(golden))).toBe(true);
    expect(bytes).toBe(got.length);
  });

  it("is read back by openGguf", async () => {
    const path = join(dir, "back.gguf");
    await writeGguf(path, metadata, entries);
    await using source = await openGguf(path);
    for (const [key, [type, value]] of metadata) {
      const read = source.metadata.get(key);
      const plain = typeof value === "object" ? Array.from<unknown>(value) : value;
      const got = read !== null && typeof read === "object" ? Array.from<unknown>(Object(read)) : read;
      const rounded = (x: unknown) => (type.startsWith("f32") && typeof x === "number" ? Math.fround(x) : x);
      expect(got).toEqual(Array.isArray(plain) ? plain.map(rounded) : rounded(plain));
    }
    expect([...source.tensors.values()].map(({ name, shape, dtype }) => [name, shape, dtype])).toEqual(
      entries.map(({ name, shape, type }) => [name, shape, type.name]),
    );
    expect(await source.read("a.weight", "f32")).toEqual(count);
    expect(await source.read("e.weight", "f32")).toEqual(count);
  });

  it("holds a vocabulary's worth of text", async () => {
    const path = join(dir, "large.gguf");
    const tokens = Array.from({ length: 40_000 }, (_, i) => `token ${"é".repeat(i % 9)}${i}`);
    await writeGguf(path, new Map<string, GgufValue>([["tokens", ["string[]", tokens]]]), []);
    await using source = await openGguf(path);
    expect(source.metadata.get("tokens")).toEqual(tokens);
  });

  it.each([
    [entry("", [1], "F32"), "input", 'the name "" has 0 bytes'],
    [entry("é".repeat(32), [1], "F32"), "input", "has 64 bytes"],
    [entry("a.weight", [1], "F32"), "input", 'two tensors are named "a.weight"'],
    [entry("x", [2, 48], "Q8_0"), "shape", "rows of 48 values are no whole number of Q8_0 blocks of 32"],
    [entry("x", [1, 1, 1, 2, 96], "F32"), "shape", "has the shape 1×1×1×2×96"],
    [entry("x", [0], "F32"), "shape", "has the shape 0"],
    [entry("x", [193], "F32"), "shape", "768 bytes for 193 in F32, which take 772"],
    [entry("x", [191], "F32"), "shape", "768 bytes for 191 in F32, which take 764"],
  ])("refuses a bad tensor and leaves nothing behind", async (bad, code, message) => {
    const before = await readdir(dir);
    const writing = writeGguf(join(dir, "bad.gguf"), metadata, [entries[0]!, bad]);
    await expect(writing).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    expect(await readdir(dir)).toEqual(before);
  });

  it.each<[GgufValue]>([
    [["u32", -1]],
    [["u32", 2 ** 32]],
    [["u32", 0.5]],
    [["i32", 2 ** 31]],
    [["f32", 1e39]],
    [["f32[]", [0, Number.NaN]]],
    [["string", "half \ud83d"]],
    [["string[]", ["\udc00"]]],
  ])("refuses the value %j", async (value) => {
    const writing = writeGguf(join(dir, "bad.gguf"), new Map([["key", value]]), []);
    await expect(writing).rejects.toMatchObject({ code: "input", message: expect.stringContaining('"key"') });
  });

  it("keeps what was there when the data fail", async () => {
    const path = join(dir, "kept.gguf");
    await writeGguf(path, metadata, entries);
    const before = await readFile(path);
    // biome-ignore lint/correctness/useYield: it fails before it has anything
    async function* data(): AsyncGenerator<Uint8Array> {
      throw new Error("no weights");
    }
    await expect(writeGguf(path, metadata, [{ ...entries[0]!, data }])).rejects.toThrow("no weights");
    expect((await readFile(path)).equals(before)).toBe(true);
  });
});
