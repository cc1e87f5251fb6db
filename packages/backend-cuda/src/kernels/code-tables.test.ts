import { readFileSync } from "node:fs";
import { bounds8bit } from "@ft/tensor/ops";
import { describe, expect, it } from "vitest";
import { keysOf } from "./code-tables.ts";

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);
const neighbours = (x: number): number[] =>
  [-1, 0, 1].map((step) => {
    word[0] = x;
    bits[0]! += step;
    return word[0]!;
  });

/** What code8 of kernels/codes.cuh does. */
function codeOf(x: number, table: Uint8Array, bounds: Float32Array): number {
  word[0] = x;
  const key = Math.min(Math.max(((bits[0]! >>> 16) & 0x7fff) - 13312 + 1, 0), 16256 - 13312 + 1);
  const code = table[(bits[0]! >>> 31) * 2960 + key]!;
  return code + (x > (bounds[code] ?? Number.POSITIVE_INFINITY) ? 1 : 0);
}

describe.each(["dynamic", "udynamic"] as const)("%s", (map) => {
  const bounds = bounds8bit[map];
  const table = keysOf(bounds);
  const search = (x: number): number => bounds.filter((bound) => bound < x).length;

  it("gives the code of every value around a bound, and of the smallest and largest", () => {
    const edges = [0, -0, 2 ** -149, 2 ** -126, 2 ** -23, 2 ** -24, 1, 1 + 2 ** -23, 1.5];
    for (const x of [...bounds].flatMap(neighbours).concat(
      edges,
      edges.map((edge) => -edge),
    ))
      expect([x, codeOf(x, table, bounds)]).toEqual([x, search(x)]);
  });

  it("gives the codes of values in between", () => {
    for (let i = 0; i < 20000; i++) {
      word[0] = (i % 2 ? -1 : 1) * 2 ** (-26 * ((i * 0.6180339887) % 1)) * (0.5 + ((i * 0.7548776662) % 1) / 2);
      const x = word[0];
      expect(codeOf(x, table, bounds)).toBe(search(x));
    }
  });
});

it("is laid out as the kernels read it", () => {
  const source = readFileSync(new URL("../../kernels/codes.cuh", import.meta.url), "utf8");
  expect(source).toContain("#define FIRST_KEY 13312");
  expect(source).toContain("#define KEYS 2960");
});
