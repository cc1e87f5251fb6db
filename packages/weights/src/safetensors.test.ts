import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type DType, f32ToBf16 } from "@ft/tensor";
import { sharedData } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { expectFtError, goldenPath, safetensorsBytes, temporaryFolder } from "../test/fixtures.ts";
import { openSafetensors } from "./safetensors.ts";
import { readRows, type WeightSource } from "./source.ts";

/** What tools/goldens/safetensors_files.py puts into its files. */
const value = (i: number) => ((i * 7 + 3) % 11) - 5;
const values = (n: number) => Array.from({ length: n }, (_, i) => value(i));
const magnitudes = (n: number) => values(n).map(Math.abs);

async function open(bytes: Uint8Array): Promise<WeightSource> {
  const path = join(await temporaryFolder(), "x.safetensors");
  await writeFile(path, bytes);
  return openSafetensors(path);
}

describe("files of the safetensors package", () => {
  it("reads every dtype", async () => {
    await using source = await openSafetensors(goldenPath("safetensors/pytorch.safetensors"));
    expect(source.metadata).toEqual(new Map([["format", "pt"]]));
    const read = async <D extends DType>(name: string, dtype: D) => [...(await source.read(name, dtype))];
    expect(await read("a.f64", "f64")).toEqual(values(6));
    expect(await read("b.f32", "f32")).toEqual(values(12));
    expect(await read("b.f32.scalar", "f32")).toEqual([-2]);
    expect(await read("c.i32", "i32")).toEqual(values(5));
    expect(await read("d.f16", "f32")).toEqual(values(8));
    expect(await read("e.i8", "i8")).toEqual(values(7));
    expect(await read("f.u8", "u8")).toEqual(magnitudes(9));
    expect(await read("g.bool", "bool")).toEqual(values(4).map((x) => (x === 0 ? 0 : 1)));
    expect(await read("h.empty", "f32")).toEqual([]);
    expect(await read('naïve/名前 "quoted"', "f32")).toEqual([-2]);
    expect(source.tensors.get("d.f16")).toEqual({
      ...{ name: "d.f16", dtype: "F16", shape: [2, 2, 2] },
      ...{ size: 8, bytes: 16, host: "f16" },
    });
  });

  it("converts on the way", async () => {
    await using source = await openSafetensors(goldenPath("safetensors/pytorch.safetensors"));
    for (const name of ["a.f64", "b.f32", "d.f16"]) {
      const n = source.tensors.get(name)!.size;
      expect([...(await source.read(name, "f32"))], name).toEqual(values(n));
      expect([...(await source.read(name, "f64"))], name).toEqual(values(n));
      expect(await source.read(name, "bf16"), name).toEqual(f32ToBf16(Float32Array.from(values(n))));
    }
    await using other = await openSafetensors(goldenPath("safetensors/other.safetensors"));
    expect([...(await other.read("i64", "i32"))]).toEqual(values(6));
    expect([...(await other.read("i64", "i8"))]).toEqual(values(6));
    expect([...(await other.read("u64", "u8"))]).toEqual(magnitudes(6));
    expect([...(await other.read("u32", "i32"))]).toEqual(magnitudes(6));
    expect([...(await other.read("i16", "i32"))]).toEqual(values(6));
    expect([...(await other.read("u16", "i32"))]).toEqual(magnitudes(6));
    expect([...(await other.read("bf16", "f32"))]).toEqual(values(6));
    await expectFtError(other.read("i64", "u8"), "dtype", /holds -2, which u8 cannot/);
    await expectFtError(other.read("i64", "f32"), "dtype", /stored as I64 and cannot be read as f32; read it as i32/);
    await expectFtError(other.read("bf16", "i32"), "dtype", /not as whole numbers/);
  });

  it("reads windows and rows", async () => {
    await using source = await openSafetensors(goldenPath("safetensors/pytorch.safetensors"));
    expect([...(await source.readWindow("b.f32", 5, 3, "f32"))]).toEqual(values(12).slice(5, 8));
    expect([...(await source.readWindow("d.f16", 3, 4, "f32"))]).toEqual(values(8).slice(3, 7));
    expect([...(await readRows(source, "b.f32", 1, 2, "f32"))]).toEqual(values(12).slice(4));
    for (const [start, count] of [
      [-1, 2],
      [11, 2],
      [0.5, 1],
      [0, Number.NaN],
      [2 ** 60, 1],
    ] as const)
      await expectFtError(source.readWindow("b.f32", start, count, "f32"), "shape", /do not lie within "b.f32" of 12/);
    await expectFtError(source.read("b.f33", "f32"), "missing", /no tensor "b.f33"; it holds 10, such as/);
  });

  it("refuses to read once closed", async () => {
    const source = await openSafetensors(goldenPath("safetensors/pytorch.safetensors"));
    await source.close();
    await source.close();
    await expectFtError(source.read("b.f32", "f32"), "disposed", /was closed/);
  });

  const int32 = sharedData("safetensors/tensor-1d-int32.safetensors");
  const float32 = sharedData("safetensors/tensor-3d-float32.safetensors");
  it.skipIf(int32 === undefined || float32 === undefined)("reads two more, from other writers", async () => {
    await using a = await openSafetensors(int32!);
    expect([...a.tensors.values()].map((t) => [t.name, t.dtype, t.shape])).toEqual([["embedding", "I32", [3]]]);
    expect([...(await a.read("embedding", "i32"))]).toEqual([1, 2, 3]);
    await using b = await openSafetensors(float32!);
    expect(b.tensors.get("embedding")).toMatchObject({ dtype: "F32", shape: [2, 2, 3] });
    expect([...(await b.read("embedding", "f32"))]).toEqual([22, 23, 24, 11, 12, 13, 2, 3, 4, 1, 2, 3]);
  });
});

it("rounds f64 to 16 bits once, not twice", async () => {
  // Just above the midpoint of two bf16 (f16) neighbours, by less than f32 can show: rounding to f32 first would lose it.
  const tricky = new Float64Array([1 + 2 ** -8 + 2 ** -40, 1 + 2 ** -11 + 2 ** -40, -(1 + 2 ** -8 + 2 ** -40), 1e300]);
  const header = { x: { dtype: "F64", shape: [4], data_offsets: [0, 32] } };
  const bytes = safetensorsBytes(header, 0);
  await using source = await open(Buffer.concat([bytes, new Uint8Array(tricky.buffer)]));
  expect([...(await source.read("x", "bf16"))]).toEqual([0x3f81, 0x3f80, 0xbf81, 0x7f80]);
  expect([...(await source.read("x", "f16"))].slice(1, 2)).toEqual([0x3c01]);
});

it("converts tensors longer than one step, at any alignment of the window", async () => {
  const n = 2 ** 20 + 4_321;
  const data = Float32Array.from({ length: n }, (_, i) => i);
  const bytes = safetensorsBytes({ x: { dtype: "F32", shape: [n], data_offsets: [0, 4 * n] } }, 0);
  await using source = await open(Buffer.concat([bytes, new Uint8Array(data.buffer)]));
  const wide = Buffer.from(Float64Array.from(data).buffer);
  expect(wide.equals(new Uint8Array((await source.read("x", "f64")).buffer))).toBe(true);
  const window = await source.readWindow("x", 7, n - 9, "f64");
  expect(wide.subarray(7 * 8, (n - 2) * 8).equals(new Uint8Array(window.buffer))).toBe(true);
});

const f32 = (begin: number, end: number, ...shape: number[]) => ({ dtype: "F32", shape, data_offsets: [begin, end] });
const huge = [4_194_305, 4_194_305, 211_106_198_978_564];
const bad: readonly [name: string, bytes: Buffer, message: RegExp][] = [
  ["an empty file", Buffer.alloc(0), /0 bytes are too few/],
  ["a file of 9 bytes", Buffer.alloc(9), /9 bytes are too few/],
  ...[0n, 1n].map((n): [string, Buffer, RegExp] => [`length ${n}`, safetensorsBytes("{}", 0, n), /no JSON object/]),
  ...[2n ** 31n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 64n - 1n, 100_000_001n].map((n): [string, Buffer, RegExp] => [
    `length ${n}`,
    safetensorsBytes("{}", 0, n),
    /over the limit of 100000000/,
  ]),
  ["a length beyond the file", safetensorsBytes("{}", 0, 3n), /runs beyond the end/],
  ["no brace at the start", safetensorsBytes(" {}", 0), /does not start with \{/],
  ["broken JSON", safetensorsBytes('{"a":', 0), /header: expected '\{' at byte/],
  ["text after the JSON", safetensorsBytes("{}{}", 0), /something follows/],
  ["invalid UTF-8", safetensorsBytes('{"a\xff":1}', 0).fill(0xff, 11, 12), /malformed string/],
  ["an unpaired surrogate", safetensorsBytes('{"\\ud800":{}}', 0), /malformed string/],
  ["a tensor that is no object", safetensorsBytes({ a: [1] }, 0), /expected '\{'/],
  ["a missing dtype", safetensorsBytes({ a: { shape: [1], data_offsets: [0, 4] } }, 4), /tensor "a": needs dtype/],
  ["a missing shape", safetensorsBytes({ a: { dtype: "F32", data_offsets: [0, 4] } }, 4), /tensor "a": needs dtype/],
  ["three offsets", safetensorsBytes({ a: { ...f32(0, 4, 1), data_offsets: [0, 4, 4] } }, 4), /more than two/],
  ["an unknown field", safetensorsBytes({ a: { ...f32(0, 4, 1), x: 1 } }, 4), /unknown field "x"/],
  ["an unknown dtype", safetensorsBytes({ a: { ...f32(0, 4, 1), dtype: "F31" } }, 4), /unknown dtype "F31"/],
  ["metadata that is no text", safetensorsBytes({ __metadata__: { a: 1 } }, 0), /expected a string/],
  ["a duplicate tensor", safetensorsBytes(`{"a":${j(f32(0, 4, 1))},"a":${j(f32(0, 4, 1))}}`, 4), /duplicate key "a"/],
  [
    "a duplicate by escape",
    safetensorsBytes(`{"a":${j(f32(0, 4, 1))},"\\u0061":${j(f32(0, 4, 1))}}`, 4),
    /duplicate key/,
  ],
  [
    "a duplicate field",
    safetensorsBytes('{"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4),
    /duplicate/,
  ],
  ["__proto__", safetensorsBytes(`{"__proto__":${j(f32(0, 4, 1))}}`, 4), /named __proto__/],
  ["a negative size", safetensorsBytes({ a: f32(0, 4, -1) }, 4), /negative number/],
  ["a negative offset", safetensorsBytes({ a: f32(-4, 0, 1) }, 4), /negative number/],
  ["a fraction", safetensorsBytes({ a: f32(0, 4, 1.5) }, 4), /without \. or e/],
  ["an exponent", safetensorsBytes('{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}', 4), /without \. or e/],
  ["a leading zero", safetensorsBytes('{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}', 4), /leading zero/],
  [
    "a size of 2^64",
    safetensorsBytes('{"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]}}', 4),
    /beyond 2\^53/,
  ],
  [
    "a size of text",
    safetensorsBytes('{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}', 4),
    /expected a whole number/,
  ],
  ["a product beyond 2^64", safetensorsBytes({ a: f32(0, 4, ...huge) }, 4), /multiply to more than 2\^53/],
  ["the same, times 0", safetensorsBytes({ a: f32(0, 0, ...huge, 0) }, 0), /multiply to more than 2\^53/],
  ["too many axes", safetensorsBytes({ a: f32(0, 4, ...Array(17).fill(1)) }, 4), /more than 16 axes/],
  ["too few bytes for the shape", safetensorsBytes({ a: f32(0, 4, 2) }, 4), /F32 of 2 does not take the 4 bytes/],
  ["half a byte of F4", safetensorsBytes({ a: { ...f32(0, 1, 1), dtype: "F4" } }, 1), /F4 of 1 does not take/],
  ["offsets backwards", safetensorsBytes({ a: f32(4, 0, 1) }, 4), /run backwards/],
  ["an overlap", safetensorsBytes({ a: f32(0, 8, 2), b: f32(4, 12, 2) }, 12), /"b" lies at bytes 4 to 12 and overlaps/],
  ["one place twice", safetensorsBytes({ a: f32(0, 4, 1), b: f32(0, 4, 1) }, 4), /overlaps/],
  ["a hole", safetensorsBytes({ a: f32(0, 4, 1), b: f32(8, 12, 1) }, 12), /hole after byte 4/],
  ["a hole at the start", safetensorsBytes({ a: f32(4, 8, 1) }, 8), /hole after byte 0/],
  ["offsets beyond the file", safetensorsBytes({ a: f32(0, 8, 2) }, 4), /beyond the 4 bytes of data/],
  ["bytes after the last tensor", safetensorsBytes({ a: f32(0, 4, 1) }, 5), /1 bytes follow the last tensor/],
  ["a Git LFS pointer", Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0"), /git lfs pull/],
  ["a web page", Buffer.from("<!DOCTYPE html><html></html>"), /is a web page/],
  ["a GGUF file", Buffer.from("GGUF\x03\0\0\0\0\0\0\0"), /is a GGUF file/],
];
function j(x: object): string {
  return JSON.stringify(x);
}

describe("bad files", () => {
  it.each(bad)("refuses %s", async (_, bytes, message) => {
    await expectFtError(open(bytes), "format", message);
  });

  it("refuses a pickle with the way out", async () => {
    await expectFtError(open(Buffer.from("PK\x03\x04 and more")), "unsupported", /pickled.*safe_serialization=True/);
  });

  it("refuses 100,001 tensors, and reads 100,000", async () => {
    const entries = (n: number) => `{${Array.from({ length: n }, (_, i) => `"${i}":${j(f32(0, 0, 0))}`).join()}}`;
    await expectFtError(open(safetensorsBytes(entries(100_001), 0)), "format", /more than 100000 tensors/);
    await using source = await open(safetensorsBytes(entries(100_000), 0));
    expect(source.tensors.size).toBe(100_000);
  });

  it("opens a file with a dtype it cannot read, and says so on reading", async () => {
    await using source = await open(safetensorsBytes({ a: { ...f32(0, 1, 1), dtype: "F8_E4M3" }, b: f32(1, 5, 1) }, 5));
    expect(source.tensors.get("a")!.host).toBeUndefined();
    await expectFtError(source.read("a", "f32"), "unsupported", /"a" is stored as F8_E4M3/);
    expect([...(await source.read("b", "f32"))]).toEqual([0]);
  });
});

describe("sharded folders", () => {
  const shard = (name: string) => safetensorsBytes({ [name]: f32(0, 8, 2) }, 8);
  async function folder(map: { readonly [tensor: string]: string }, files: { readonly [file: string]: Uint8Array }) {
    const path = await temporaryFolder();
    const index = JSON.stringify({ metadata: { total_size: 16 }, weight_map: map });
    await writeFile(join(path, "model.safetensors.index.json"), index);
    for (const [name, bytes] of Object.entries(files)) await writeFile(join(path, name), bytes);
    return path;
  }

  it("joins the shards of an index", async () => {
    const map = { a: "m-1.safetensors", b: "m-2.safetensors" };
    const path = await folder(map, { "m-1.safetensors": shard("a"), "m-2.safetensors": shard("b") });
    await using source = await openSafetensors(path);
    expect([...source.tensors.keys()]).toEqual(["a", "b"]);
    expect([...(await source.read("b", "f32"))]).toEqual([0, 0]);
    await using byIndex = await openSafetensors(join(path, "model.safetensors.index.json"));
    expect(byIndex.tensors.size).toBe(2);
  });

  it.each([
    "../x.safetensors",
    "/etc/x.safetensors",
    "a/x.safetensors",
    "a\\x.safetensors",
    "C:x.safetensors",
    "..",
    ".x.safetensors",
    "x.bin",
    "x.safetensors\0",
  ])("refuses the shard name %j", async (name) => {
    await expectFtError(openSafetensors(await folder({ a: name }, {})), "format", /not a plain \*\.safetensors name/);
  });

  it("refuses links that lead out of the folder, and follows those of the Hugging Face cache", async () => {
    const path = await folder({ a: "m.safetensors" }, {});
    const outside = join(await temporaryFolder(), "outside.safetensors");
    await writeFile(outside, shard("a"));
    await symlink(outside, join(path, "m.safetensors"));
    await expectFtError(openSafetensors(path), "format", /a link that leads out of the folder/);

    const cache = await temporaryFolder();
    const revision = join(cache, "snapshots", "abc");
    await mkdir(revision, { recursive: true });
    await mkdir(join(cache, "blobs"));
    await writeFile(join(cache, "blobs", "0123"), shard("a"));
    await symlink("../../blobs/0123", join(revision, "model.safetensors"));
    await using source = await openSafetensors(revision);
    expect([...source.tensors.keys()]).toEqual(["a"]);
  });

  it("refuses what does not fit together", async () => {
    const one = { "m.safetensors": shard("a") };
    await expectFtError(
      openSafetensors(await folder({ a: "m.safetensors" }, {})),
      "missing",
      /m\.safetensors: there is no such/,
    );
    await expectFtError(
      openSafetensors(await folder({ a: "m.safetensors", b: "m.safetensors" }, one)),
      "format",
      /places "b"/,
    );
    await expectFtError(openSafetensors(await folder({}, one)), "format", /weight_map is absent or empty/);
    const path = await folder({}, one);
    await writeFile(
      join(path, "model.safetensors.index.json"),
      '{"weight_map":{"a":"m.safetensors","a":"n.safetensors"}}',
    );
    await expectFtError(openSafetensors(path), "format", /duplicate key "a"/);
    await writeFile(join(path, "model.safetensors.index.json"), "{");
    await expectFtError(openSafetensors(path), "format", /index\.json: expected a string/);
  });
});
