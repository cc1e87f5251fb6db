import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { layOut, writeDataFiles } from "./data-files.ts";
import type { Weight } from "./graph.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-onnx-data-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A weight of two tensors, filled with a number, that comes in pieces of 1000 bytes. */
function weight(name: string, bytes: number, fill: number): Weight {
  const tensors = [
    { name, dtype: "u8", dims: [bytes] },
    { name: `${name}.scale`, dtype: "f32", dims: [3] },
  ] as const;
  async function* data(): AsyncGenerator<Uint8Array> {
    for (let start = 0; start < bytes; start += 1000) yield new Uint8Array(Math.min(1000, bytes - start)).fill(fill);
    yield new Uint8Array(12).fill(fill + 1);
  }
  return { tensors, data };
}

it("starts tensors at pages, and a file where the last one is full", async () => {
  const layout = layOut("m.onnx", [weight("a", 5000, 1), weight("b", 3000, 3), weight("c", 40_000, 5)], 20_480);
  expect(layout.external.map(({ name, data }) => [name, data])).toEqual([
    ["a", { location: "m.onnx_data", offset: 0, length: 5000 }],
    ["a.scale", { location: "m.onnx_data", offset: 8192, length: 12 }],
    ["b", { location: "m.onnx_data", offset: 12_288, length: 3000 }],
    ["b.scale", { location: "m.onnx_data", offset: 16_384, length: 12 }],
    ["c", { location: "m.onnx_data_1", offset: 0, length: 40_000 }],
    ["c.scale", { location: "m.onnx_data_1", offset: 40_960, length: 12 }],
  ]);
  await writeDataFiles(dir, layout);
  expect((await readdir(dir)).sort()).toEqual(["m.onnx_data", "m.onnx_data_1"]);
  const first = await readFile(join(dir, "m.onnx_data"));
  expect(first.length).toBe(20_480);
  const want = new Uint8Array(20_480);
  for (const [start, end, fill] of [
    [0, 5000, 1],
    [8192, 8204, 2],
    [12_288, 15_288, 3],
    [16_384, 16_396, 4],
  ] as const)
    want.fill(fill, start, end);
  expect(first.equals(want)).toBe(true);
  expect(layout.files.map(({ bytes }) => bytes)).toEqual([20_480, 45_056]);
});

it("refuses a weight of another size than it said, and sizes that are none", async () => {
  const short = weight("a", 500, 1);
  const layout = layOut("s.onnx", [{ ...short, tensors: [{ ...short.tensors[0]!, dims: [501] }] }], 1e6);
  await expect(writeDataFiles(dir, layout)).rejects.toThrow(/\[onnx\] a came with 512 bytes of 501/);
  expect(await readdir(dir)).not.toContain("s.onnx_data");
  expect(() => layOut("s.onnx", [], 0)).toThrow(/data files of 0 bytes/);
  const many = Array.from({ length: 101 }, (_, i) => weight(`w${i}`, 10, 1));
  expect(() => layOut("s.onnx", many, 1)).toThrow(
    /101 data files of at most 1 bytes, and transformers\.js reads at most 100/,
  );
  expect(layOut("s.onnx", many.slice(1), 1).files).toHaveLength(100);
});
