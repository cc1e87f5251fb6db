import { readFile } from "node:fs/promises";
import { FtError } from "@ft/tensor";
import { golden } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { goldenFile } from "../../test/fixtures.ts";
import { ggufEncodings } from "../encoding.ts";
import { type GgufTypeName, ggufType } from "./gguf-type.ts";

const { rows } = await golden<{ rows: { [kind: string]: number } }>(goldenFile("gguf-blocks/golden.json"));
const raw = await readFile(goldenFile("gguf-blocks/inputs.f32"));
const inputs = new Float32Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
/** The kind of each row of 256. */
const kinds = Object.entries(rows).flatMap(([kind, count]) => Array<string>(count).fill(kind));

const blockTypes: readonly GgufTypeName[] = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"];

function numericError(run: () => unknown, message: RegExp): void {
  try {
    run();
  } catch (error) {
    if (!FtError.is(error)) throw error;
    expect(error.message).toMatch(message);
    expect(error.code).toBe("numeric");
    return;
  }
  expect.unreachable("nothing was thrown");
}

function dequantize(name: GgufTypeName, blocks: Uint8Array<ArrayBuffer>): Float32Array {
  const decoded = ggufEncodings.get(ggufType(name).id)!.floats!(blocks);
  return decoded instanceof Float32Array ? decoded : expect.unreachable(`${name} is not f32`);
}

describe.each(blockTypes)("%s", (name) => {
  const type = ggufType(name);

  it("has the bytes of ggml's reference quantiser, for every kind of rows", async () => {
    const wanted = await readFile(goldenFile(`gguf-blocks/${name}.bin`));
    const row = (256 / type.elements) * type.bytes;
    expect(wanted.length).toBe(kinds.length * row);
    const blocks = type.quantize(inputs);
    const differing = kinds.filter(
      (_, i) => !wanted.subarray(i * row, i * row + row).equals(blocks.subarray(i * row, i * row + row)),
    );
    expect(differing).toEqual([]);
    expect(blocks.length).toBe(wanted.length);
  });

  it("is the type that is read under its number", () => {
    expect(ggufEncodings.get(type.id)).toMatchObject({ name, elements: type.elements, bytes: type.bytes });
  });

  it("refuses NaN, infinities and scales beyond f16, and says where", () => {
    const values = new Float32Array(70_000 - (70_000 % type.elements));
    expect(type.quantize(values)).toHaveLength((values.length / type.elements) * type.bytes);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      values[66_001] = bad; // in the second piece that the module is given
      numericError(() => type.quantize(values), new RegExp(`\\[quantize ${name}\\] value 66001 is ${bad}`));
    }
    values[66_001] = -1e30;
    const first = 66_001 - (66_001 % type.elements);
    numericError(() => type.quantize(values), new RegExp(`values ${first} to ${first + type.elements - 1} are beyond`));
  });

  it("refuses what is no whole number of blocks, and takes nothing at all", () => {
    for (const length of [1, type.elements - 1, type.elements + 1])
      expect(() => type.quantize(new Float32Array(length))).toThrow(`no whole number of blocks of ${type.elements}`);
    expect(type.quantize(new Float32Array(0))).toHaveLength(0);
  });
});

/**
 * Largest error over the range of the 32 values around. With n steps over the range the nearest code is off by 1/(2n); a symmetric format
 * wastes half of the range at worst and cuts one step at its end; K formats round the scale of a part to 6 bits besides.
 */
const bounds: readonly [GgufTypeName, number][] = [
  ["Q8_0", 0.5 / 127 + 0.001],
  ["Q4_0", 1 / 8 + 0.001],
  ["Q4_1", 0.5 / 15 + 0.001],
  ["Q5_0", 1 / 16 + 0.001],
  ["Q5_1", 0.5 / 31 + 0.001],
  ["Q4_K", 1.5 / 15],
  ["Q5_K", 1.5 / 31],
  ["Q6_K", 1.5 / 32],
];

it.each(bounds)("%s gives normal values back, within its steps", (name, bound) => {
  const values = inputs.subarray(0, rows.normal! * 256);
  const back = dequantize(name, ggufType(name).quantize(values));
  let worst = 0;
  for (let from = 0; from < values.length; from += 32) {
    const part = values.subarray(from, from + 32);
    const range = Math.max(0, ...part) - Math.min(0, ...part);
    for (let i = 0; i < 32; i++) worst = Math.max(worst, Math.abs(back[from + i]! - part[i]!) / range);
  }
  expect(worst).toBeLessThan(bound);
  expect(worst).toBeGreaterThan(bound / 8); // a bound that says something
});

it.each(["F16", "BF16"] as const)("%s has ggml's bytes", async (name) => {
  const wanted = await readFile(goldenFile(`gguf-blocks/${name}.bin`));
  const every4th = inputs.filter((_, i) => (i >> 8) % 4 === 0);
  expect(wanted.equals(ggufType(name).quantize(every4th))).toBe(true);
});

it("refuses what F32, F16 and BF16 cannot hold", () => {
  const { quantize: f32 } = ggufType("F32");
  expect(new Float32Array(f32(Float32Array.of(1.5, -0)).buffer)).toEqual(Float32Array.of(1.5, -0));
  numericError(() => f32(Float32Array.of(0, Number.NaN)), /value 1 is NaN/);
  expect([...ggufType("F16").quantize(Float32Array.of(65_519))]).toEqual([0xff, 0x7b]);
  numericError(() => ggufType("F16").quantize(Float32Array.of(0, 65_520)), /value 1, 65520, is beyond/);
  numericError(() => ggufType("BF16").quantize(Float32Array.of(0, 0, -3.4e38)), /value 2, -3.39.*e\+38, is beyond/);
});

it("names the types there are", () => {
  expect(() => ggufType("Q2_K")).toThrow(/no tensors are written as "Q2_K"; use F32, F16, BF16, Q8_0/);
});
