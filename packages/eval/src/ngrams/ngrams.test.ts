import { expect, test } from "vitest";
import { countNgrams, matchNgrams } from "./ngrams.ts";

/** The same by its definition: every n-gram as a string, counted, clipped at the largest count of a reference. */
function byDefinition(prediction: string[], references: string[][], maxOrder: number): number[] {
  const counts = (tokens: string[], order: number): Map<string, number> => {
    const found = new Map<string, number>();
    for (let i = 0; i + order <= tokens.length; i++) {
      const ngram = tokens.slice(i, i + order).join(" ");
      found.set(ngram, (found.get(ngram) ?? 0) + 1);
    }
    return found;
  };
  return Array.from({ length: maxOrder }, (_, i) => {
    const limits = references.map((reference) => counts(reference, i + 1));
    let matches = 0;
    for (const [ngram, count] of counts(prediction, i + 1))
      matches += Math.min(count, Math.max(...limits.map((limit) => limit.get(ngram) ?? 0)));
    return matches;
  });
}

test("clips at the reference that has an n-gram most often", () => {
  const the = ["the", "the", "the", "the", "the"];
  expect(matchNgrams(the, [["the", "cat", "the"], ["the"]], 2)).toEqual([2, 0]);
  expect(matchNgrams(the, [["a"], ["the", "the", "the"]], 3)).toEqual([3, 2, 1]);
  expect(matchNgrams(["a"], [[]], 2)).toEqual([0, 0]);
  expect(matchNgrams<string>([], [["a"]], 2)).toEqual([0, 0]);
});

test("counts as the definition does, on every pair of short sequences of three symbols", () => {
  const sequences: string[][] = [[]];
  for (const sequence of sequences)
    if (sequence.length < 4) sequences.push(...["a", "b", "c"].map((symbol) => [...sequence, symbol]));
  expect(sequences.length).toBe(121);
  const second = ["a", "a", "b", "c", "b"];
  for (const prediction of sequences)
    for (const reference of sequences)
      expect(matchNgrams(prediction, [reference, second], 3)).toEqual(byDefinition(prediction, [reference, second], 3));
});

test("a sequence has no n-grams longer than itself", () => {
  expect([1, 2, 3, 4].map((order) => countNgrams(2, order))).toEqual([2, 1, 0, 0]);
});
