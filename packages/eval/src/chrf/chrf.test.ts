import { expect, test } from "vitest";
import { chrf } from "./chrf.ts";
import { chrfWords } from "./words.ts";

test("options that are none are refused by name", () => {
  expect(() => chrf({ charOrder: -1 })).toThrow("charOrder is -1");
  expect(() => chrf({ wordOrder: 0.5 })).toThrow("wordOrder is 0.5");
  expect(() => chrf({ charOrder: 0 })).toThrow("charOrder and wordOrder are 0");
  expect(() => chrf({ beta: 0 })).toThrow("beta is 0");
  expect(() => chrf({ beta: Number.NaN })).toThrow("beta is NaN");
  expect(() => chrf().statistics("a", [])).toThrow("[chrf] a prediction has no references");
});

test("of several references the first of the best counts", () => {
  const metric = chrf({ charOrder: 1 });
  const [, , ...counts] = metric.statistics("ab", ["xy", "ab", "abc"]);
  expect(counts).toEqual([2, 2, 2]);
});

test("one punctuation mark comes off a word, at its end before its start", () => {
  expect(chrfWords("(hi) !ho a, , “so” !!")).toEqual(["(hi", ")", "!", "ho", "a", ",", ",", "“so”", "!", "!"]);
});
