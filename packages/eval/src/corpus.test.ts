import { expect, test } from "vitest";
import { corpusScore, corpusStatistics } from "./corpus.ts";
import { customMetric } from "./metric.ts";

const same = customMetric("same", (prediction, [reference]) => Number(prediction === reference));

test("the score of pairs is that of their statistics' sums", () => {
  expect(corpusStatistics(same, ["a", "b"], [["a"], ["c"]])).toEqual([[1], [0]]);
  expect(corpusScore(same, ["a", "b"], [["a"], ["c"]])).toBe(0.5);
});

test("as many lists of references as predictions, none of them empty, and at least one", () => {
  expect(() => corpusScore(same, ["a", "b"], [["a"]])).toThrow("[same] 2 predictions and 1 lists of references");
  expect(() => corpusScore(same, ["a"], [[]])).toThrow("[same] a prediction has no references");
  expect(() => corpusScore(same, [], [])).toThrow("[same] there are no pairs");
});
