import { expect, test } from "vitest";
import { isSpace, splitWords, trim, trimEnd } from "./words.ts";

// what chr(i).isspace() is true for in Python 3.11, all below U+10000
const pythonSpaces = [
  ...[0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680],
  ...[0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a],
  ...[0x2028, 0x2029, 0x202f, 0x205f, 0x3000],
];

test("white space is Python's, of all units", () => {
  const found = Array.from({ length: 0x10000 }, (_, unit) => unit).filter(isSpace);
  expect(found).toEqual(pythonSpaces);
});

test("splits at runs of white space and keeps the rest", () => {
  expect(splitWords("")).toEqual([]);
  expect(splitWords(" \t\n")).toEqual([]);
  expect(splitWords("a")).toEqual(["a"]);
  expect(splitWords("\x1ca  b\x85c\u3000")).toEqual(["a", "b", "c"]);
  expect(splitWords("a\ufeffb \u200bc")).toEqual(["a\ufeffb", "\u200bc"]);
});

test("trims what it splits at", () => {
  expect(trimEnd("\x1f a \x1f")).toBe("\x1f a");
  expect(trim("\x1f a b\ufeff \x1f")).toBe("a b\ufeff");
  expect(trim(" \n ")).toBe("");
});
