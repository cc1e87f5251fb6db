import type { Example } from "@ft/data";
import { expect, it } from "vitest";
import { lengthHistogram } from "./facts.ts";

const examples = (...lengths: readonly number[]): Example[] =>
  lengths.map((length) => ({
    tokens: new Int32Array(length),
    targets: new Int32Array(length),
    cut: 0,
    source: { file: "rows.json", row: 1 },
  }));

it("bins of one token hold short rows", () => {
  expect(lengthHistogram(examples(1, 3, 3, 4))).toEqual({ width: 1, counts: [1, 0, 2, 1] });
});

it("bins of a round width hold long ones, their upper end included, at most 32 of them", () => {
  const { width, counts } = lengthHistogram(examples(1, 20, 21, 512));
  expect(width).toBe(20);
  expect(counts).toHaveLength(26);
  expect([counts[0], counts[1], counts[25]]).toEqual([2, 1, 1]);
  for (const longest of [32, 33, 100, 2048, 8192, 131_072]) {
    const found = lengthHistogram(examples(longest));
    expect(found.counts.length).toBeLessThanOrEqual(32);
    expect(found.width * found.counts.length).toBeGreaterThanOrEqual(longest);
    expect(found.counts.at(-1)).toBe(1);
  }
});

it("no rows make one empty bin", () => {
  expect(lengthHistogram([])).toEqual({ width: 1, counts: [0] });
});
