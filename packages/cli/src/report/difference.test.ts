import { expect, it } from "vitest";
import { difference } from "./difference.ts";

const marked = (text: string, other: string): string =>
  difference(text, other)
    .map((piece) => (piece.same ? piece.text : `[${piece.text}]`))
    .join("");

it.each([
  ["the cat sat on the mat", "the cat lay on the mat", "the cat [sat] on the mat"],
  ["the big red cat sat", "the cat sat", "the [big red] cat sat"],
  ["one two", "one two", "one two"],
  ["one two three", "one three two", "one [two] three"],
  ["我今天去北京开会", "我明天去北京开会", "我[今天]去北京开会"],
  // nothing in common: marking everything would say nothing
  ["quite another thing", "the cat sat on the mat", "quite another thing"],
  ["", "the cat", ""],
  ["the cat", "", "the cat"],
])("%s against %s", (text, other, want) => {
  expect(marked(text, other)).toBe(want);
});

it("leaves texts alone that are too long to compare", () => {
  const text = "word other ".repeat(400);
  expect(difference(text, text.replace("other", "more"))).toEqual([{ text, same: true }]);
});
