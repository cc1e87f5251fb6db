import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { approximateReciprocal } from "./reciprocal.ts";

const golden = new URL("../../../../../tools/goldens/data/bnb/reciprocals.json", import.meta.url);

it("has all 2^23 mantissas as an H100 has them", async () => {
  const { sha256 }: { sha256: string } = JSON.parse(await readFile(golden, "utf8"));
  const hash = createHash("sha256");
  const chunk = new Float32Array(2 ** 16);
  for (let start = 0; start < 2 ** 23; start += chunk.length) {
    for (let i = 0; i < chunk.length; i++) chunk[i] = approximateReciprocal(1 + (start + i) * 2 ** -23);
    hash.update(new Uint8Array(chunk.buffer));
  }
  expect(hash.digest("hex")).toBe(sha256);
});

it("scales by powers of two, and knows no subnormal numbers", () => {
  for (const x of [1, 1.3, 1.75, 1.9999998807907104])
    for (const k of [-126, -31, 24, 125])
      expect(approximateReciprocal(x * 2 ** k)).toBe(approximateReciprocal(x) * 2 ** -k);
  expect([2 ** 126, 2 ** 126 * (1 + 2 ** -23), 3e38].map(approximateReciprocal)).toEqual([2 ** -126, 0, 0]);
  expect([0, 2 ** -149, 2 ** -127].map(approximateReciprocal)).toEqual([Infinity, Infinity, Infinity]);
});
