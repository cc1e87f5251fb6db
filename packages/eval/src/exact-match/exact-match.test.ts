import { expect, test } from "vitest";
import { accuracy } from "../accuracy/accuracy.ts";
import { corpusScore } from "../corpus.ts";
import { tokenF1 } from "../token-f1/token-f1.ts";
import { tokenizers } from "../tokenizers/tokenizers.ts";
import { exactMatch } from "./exact-match.ts";

test("white space counts unless it is ignored", () => {
  expect(corpusScore(exactMatch(), [" a  b\n"], [["a b"]])).toBe(0);
  expect(corpusScore(exactMatch({ ignoreWhitespace: true }), [" a  b\n"], [["a b"]])).toBe(1);
  expect(corpusScore(exactMatch({ ignoreWhitespace: true }), ["ab"], [["a b"]])).toBe(0);
});

test("one equal reference is enough", () => {
  expect(corpusScore(exactMatch(), ["b", "c"], [["a", "b"], ["a"]])).toBe(0.5);
  expect(corpusScore(accuracy(), [" b\n", "c"], [["a", "b"], ["a"]])).toBe(0.5);
});

test("F1 counts the characters of Chinese when told to", () => {
  const [prediction, reference] = ["订单在桂林", "订单到桂林"];
  expect(corpusScore(tokenF1(), [prediction], [[reference]])).toBe(0);
  expect(corpusScore(tokenF1({ tokenizer: tokenizers.zh }), [prediction], [[reference]])).toBeCloseTo(0.8, 12);
});

test("F1 is that of the nearest reference", () => {
  expect(corpusScore(tokenF1(), ["the red bike"], [["a car", "red bike", "a red car"]])).toBe(1);
});
