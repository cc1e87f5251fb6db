import { expect, test } from "vitest";
import { accumulate } from "../metric.ts";
import { type BleuOptions, bleu, sentenceBleu } from "./bleu.ts";
import { evaluateBleu } from "./evaluate-bleu.ts";

test("options that are none are refused by name", () => {
  const refused: [object, string][] = [
    [{ tokenizer: "14a" }, "no tokenizer 14a"],
    [{ tokenizer: "toString" }, "no tokenizer toString"],
    [{ smoothing: "laplace" }, "no smoothing laplace"],
    [{ maxOrder: 0 }, "maxOrder is 0"],
    [{ maxOrder: 1.5 }, "maxOrder is 1.5"],
    [{ smoothing: "floor", smoothValue: -1 }, "smoothValue is -1"],
    [{ smoothing: "floor", smoothValue: Number.NaN }, "smoothValue is NaN"],
    [{ smoothing: "exp", smoothValue: 1 }, "smoothing exp takes no value"],
  ];
  for (const [options, message] of refused) expect(() => bleu(options as BleuOptions)).toThrow(message);
  expect(() => evaluateBleu({ maxOrder: -1 })).toThrow("maxOrder is -1");
});

test("a prediction without references is refused", () => {
  expect(() => bleu().statistics("a", [])).toThrow("[bleu] a prediction has no references");
  expect(() => evaluateBleu().statistics("a", [])).toThrow("[evaluateBleu] a prediction has no references");
});

test("a tokenizer of your own stands in the signature", () => {
  const letters = { name: "letters", tokenize: (text: string) => text.split("") };
  const result = sentenceBleu("abcd", ["abcd"], { tokenizer: letters });
  expect(result.signature).toBe("nrefs:1|case:mixed|eff:yes|tok:letters|smooth:exp|version:2.6.0");
  expect(result.totals).toEqual([4, 3, 2, 1]);
});

test("merges as it streams", () => {
  const pairs = [
    ["the cat sat down here", "the cat sat down there"],
    ["a dog ran over the hill", "one dog ran over the hill"],
    ["", "rain"],
  ] as const;
  const whole = accumulate(bleu());
  const parts = [accumulate(bleu()), accumulate(bleu())];
  for (const [i, [prediction, reference]] of pairs.entries())
    for (const one of [whole, parts[i % 2]]) one?.add(prediction, [reference]);
  const merged = accumulate(bleu());
  for (const part of parts) merged.merge(JSON.parse(JSON.stringify(part.state())));
  expect(merged.result()).toEqual(whole.result());
  expect(merged.result().score).toBeGreaterThan(0);
});

test("a lone half of a surrogate pair is a token like any other", () => {
  expect(sentenceBleu("\ud83d a.", ["\ud83d a."], { tokenizer: "intl" }).score).toBeCloseTo(100, 9);
  expect(sentenceBleu("\ud83d a.", ["\ud83d a."], { tokenizer: "zh" }).totals[0]).toBe(3);
});
