import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { porterStem } from "./porter.ts";

const goldens = new URL("../../../../tools/goldens/data/", import.meta.url);

it("stems every word as NLTK does", async () => {
  const stems: Record<string, string> = JSON.parse(await readFile(new URL("eval-rouge/stems.json", goldens), "utf8"));
  const words = Object.keys(stems);
  expect(words.length).toBeGreaterThan(10_000);
  expect(words.filter((word) => porterStem(word) !== stems[word])).toEqual([]);
});
