import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { goldenFile } from "../../test/fixtures.ts";
import { globMatcher } from "./glob.ts";

it("matches what Python's fnmatch matches", async () => {
  const golden: { paths: string[]; matches: Record<string, string[]> } = JSON.parse(
    await readFile(goldenFile("hub/fnmatch.json"), "utf8"),
  );
  const patterns = Object.keys(golden.matches);
  expect(patterns.length).toBeGreaterThan(20);
  const ours = Object.fromEntries(patterns.map((pattern) => [pattern, golden.paths.filter(globMatcher([pattern]))]));
  expect(ours).toEqual(golden.matches);
  expect(golden.paths.filter(globMatcher(["*.bin", "z"]))).toEqual(["a.bin", "ab.bin", "a/b/c.bin", "z"]);
  expect(golden.paths.filter(globMatcher([]))).toEqual([]);
});

it("takes no longer for patterns made to take long", () => {
  const matches = globMatcher([`${"*a".repeat(12)}b`, `${"*".repeat(1000)}b`]);
  const begun = performance.now();
  expect(matches("a".repeat(60))).toBe(false);
  expect(performance.now() - begun).toBeLessThan(1000);
});
