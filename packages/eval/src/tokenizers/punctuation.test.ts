import { expect, test } from "vitest";
import { isPunctuation, removePunctuation } from "./punctuation.ts";

// string.punctuation of Python
const punctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const units = Array.from({ length: 0x10000 }, (_, unit) => unit);

test("punctuation is Python's, of all units", () => {
  expect(String.fromCharCode(...units.filter(isPunctuation))).toBe(punctuation);
});

test("removes just that", () => {
  expect(removePunctuation(punctuation)).toBe("");
  expect(removePunctuation("it's (1,5) – “so”，是。")).toBe("its 15 – “so”，是。");
  expect(units.filter((unit) => removePunctuation(String.fromCharCode(unit)) === "")).toEqual(
    units.filter(isPunctuation),
  );
});
