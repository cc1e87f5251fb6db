import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type DType, dataOf, sizeOf } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { canMount, expectFtError, goldenPath, temporaryFolder, tinyDisk } from "../test/fixtures.ts";
import { openSafetensors } from "./safetensors.ts";
import { type WeightEntry, writeSafetensors, writeShardedSafetensors } from "./write-safetensors.ts";

/** What tools/goldens/safetensors_files.py puts into its files. */
function entry<D extends DType>(name: string, dtype: D, ...shape: number[]): WeightEntry<D> {
  const data = dataOf[dtype](new ArrayBuffer(sizeOf(shape) * dataOf[dtype](new ArrayBuffer(8)).BYTES_PER_ELEMENT));
  for (let i = 0; i < data.length; i++) {
    const value = ((i * 7 + 3) % 11) - 5;
    data[i] = dtype === "bool" ? Number(value !== 0) : dtype === "u8" ? Math.abs(value) : value;
  }
  return { name, dtype, shape, data: () => data };
}
const like = (path: string) => readFile(goldenPath(`safetensors/${path}`));

describe("writeSafetensors", () => {
  it("writes the bytes that the safetensors package writes", async () => {
    const wanted = await like("pytorch.safetensors");
    await using golden = await openSafetensors(goldenPath("safetensors/pytorch.safetensors"));
    const f16 = await golden.read("d.f16", "f16");
    const path = join(await temporaryFolder(), "new", "x.safetensors");
    await writeSafetensors(path, [
      entry("e.i8", "i8", 7),
      entry("f.u8", "u8", 3, 3),
      entry("g.bool", "bool", 4),
      { name: "d.f16", dtype: "f16", shape: [2, 2, 2], data: async () => f16 },
      entry("a.f64", "f64", 2, 3),
      entry("b.f32", "f32", 3, 4),
      entry("b.f32.scalar", "f32"),
      entry("h.empty", "f32", 0, 4),
      entry('naïve/名前 "quoted"', "f32", 1),
      entry("c.i32", "i32", 5),
    ]);
    expect((await readFile(path)).equals(wanted)).toBe(true);
    expect(await readdir(join(path, ".."))).toEqual(["x.safetensors"]);
  });

  it("asks for one tensor at a time, and takes it in pieces", async () => {
    const path = join(await temporaryFolder(), "x.safetensors");
    const asked: string[] = [];
    const pieces = (name: string): WeightEntry<"f32"> => ({
      ...{ name, dtype: "f32", shape: [2, 3] },
      async *data() {
        asked.push(name);
        yield Float32Array.of(1, 2, 3, 4);
        yield new Float32Array([9, 5, 6, 9]).subarray(1, 3);
        asked.push(`${name} done`);
      },
    });
    await writeSafetensors(path, [pieces("b"), pieces("a")], new Map());
    expect(asked).toEqual(["b", "b done", "a", "a done"]);
    await using source = await openSafetensors(path);
    expect(source.metadata.size).toBe(0);
    expect([...(await source.read("a", "f32"))]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  const one = (shape: number[], data: WeightEntry["data"], name = "a"): WeightEntry[] => [
    { name, dtype: "f32", shape, data },
  ];
  it.each([
    ["too few values", one([3], () => new Float32Array(2)), "shape", /"a": 2 values for 3/],
    ["too many values", one([3], () => new Float32Array(4)), "shape", /"a": 4 values for 3/],
    ["an array of another type", one([3], () => new Float64Array(3)), "dtype", /Float64Array for f32/],
    ["a negative size", one([-1], () => new Float32Array(0)), "shape", /"a" has the shape -1/],
    ["a fraction of a size", one([1.5], () => new Float32Array(0)), "shape", /"a" has the shape 1.5/],
    ["one name twice", [entry("a", "f32", 1), entry("a", "f32", 1)], "input", /two tensors are named "a"/],
    ["a reserved name", one([1], () => new Float32Array(1), "__metadata__"), "input", /cannot be named "__metadata__"/],
  ] as const)("refuses %s and leaves the earlier file as it was", async (_, entries, code, message) => {
    const folder = await temporaryFolder();
    const path = join(folder, "x.safetensors");
    await writeFile(path, "earlier");
    await expectFtError(writeSafetensors(path, entries), code, message);
    expect(await readFile(path, "utf8")).toBe("earlier");
    expect(await readdir(folder)).toEqual(["x.safetensors"]);
  });

  it("passes an error of the producer on, and leaves nothing behind", async () => {
    const folder = await temporaryFolder();
    const broken = one([3], () => Promise.reject(new RangeError("from the model")));
    await expect(writeSafetensors(join(folder, "x.safetensors"), broken)).rejects.toThrow(
      new RangeError("from the model"),
    );
    expect(await readdir(folder)).toEqual([]);
  });

  it.skipIf(!canMount)("survives a full disk: code io, the earlier file untouched, nothing left behind", async () => {
    const disk = await tinyDisk();
    const path = join(disk, "x.safetensors");
    await writeSafetensors(path, [entry("a", "f32", 100)]);
    const before = await readFile(path);
    const large = [entry("a", "f32", 100), entry("b", "f32", 30_000)];
    await expectFtError(
      writeSafetensors(path, large),
      "io",
      /cannot write .*x\.safetensors: ENOSPC; free some disk space/,
    );
    expect((await readFile(path)).equals(before)).toBe(true);
    expect(await readdir(disk)).toEqual(["x.safetensors"]);
    await writeSafetensors(path, [entry("a", "f32", 10_000)]); // the space is free again
  });

  it("says what is in the way", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "file"), "");
    const path = join(folder, "file", "x.safetensors");
    await expectFtError(writeSafetensors(path, []), "io", /cannot write .*x\.safetensors/);
    await expectFtError(writeSafetensors(folder, []), "io", /cannot write/);
  });
});

describe("writeShardedSafetensors", () => {
  const entries = () => [entry("a", "f32", 10), entry("b", "bf16", 4), entry("c", "f32", 100), entry("d", "f32", 2)];

  it("cuts before the limit and writes an index that joins them again", async () => {
    const folder = await temporaryFolder();
    const { files, totalSize } = await writeShardedSafetensors(folder, entries(), 48);
    expect(files).toEqual([1, 2, 3].map((n) => `model-0000${n}-of-00003.safetensors`));
    expect(totalSize).toBe(40 + 8 + 400 + 8);
    expect(JSON.parse(await readFile(join(folder, "model.safetensors.index.json"), "utf8"))).toEqual({
      metadata: { total_size: 456 },
      weight_map: { a: files[0], b: files[0], c: files[1], d: files[2] },
    });
    await using source = await openSafetensors(folder);
    expect([...source.tensors.keys()].sort()).toEqual(["a", "b", "c", "d"]);
    for (const { name, dtype, data } of entries()) expect(await source.read(name, dtype), name).toEqual(await data());
  });

  it("writes one file without index when everything fits", async () => {
    const folder = await temporaryFolder();
    expect((await writeShardedSafetensors(folder, entries(), 456)).files).toEqual(["model.safetensors"]);
    expect(await readdir(folder)).toEqual(["model.safetensors"]);
    await expectFtError(writeShardedSafetensors(folder, entries(), 0), "input", /shards of 0 bytes/);
  });
});
