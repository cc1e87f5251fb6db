import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { tokenizers } from "../src/index.ts";
import { readGolden } from "./pairs.ts";

// All code points of Unicode 14, the version that Python 3.11 and every supported Node know. The `regex` package and later
// versions of Node know more, not the same ones: what is newer may be cut apart in one and not in the other.
type Ranges = readonly (readonly [first: number, last: number])[];
const golden = await readGolden<
  Record<"assigned" | "P" | "S" | "N" | "chinese" | "word", Ranges> & { lowerSha256: string }
>("eval-bleu/unicode.json");
const codePoints = (ranges: Ranges): number[] =>
  ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
const assigned = codePoints(golden.assigned);
const withProperty = (property: RegExp) => assigned.filter((code) => property.test(String.fromCodePoint(code)));

test("punctuation, symbols and numbers are those of the `regex` package", () => {
  expect(withProperty(/\p{P}/u)).toEqual(codePoints(golden.P));
  expect(withProperty(/\p{S}/u)).toEqual(codePoints(golden.S));
  expect(withProperty(/\p{N}/u)).toEqual(codePoints(golden.N));
});

test("letters and digits are those of Python's \\w", () => {
  expect(withProperty(/[\p{L}\p{N}_]/u)).toEqual(codePoints(golden.word));
});

test("lower case is Python's", () => {
  const lower = assigned.map((code) => String.fromCodePoint(code).toLowerCase()).join("\n");
  expect(createHash("sha256").update(lower).digest("hex")).toBe(golden.lowerSha256);
});

test("zh parts what sacrebleu takes for Chinese", () => {
  const apart = assigned.filter((code) => {
    const character = String.fromCodePoint(code);
    // white space and ASCII punctuation part words anyway
    return tokenizers.zh.tokenize(`a${character}b`).length === 3 && code > 0x7f;
  });
  const spaces = new Set([0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a]);
  for (const space of [0x2028, 0x2029, 0x202f, 0x205f, 0x3000]) spaces.add(space);
  expect(apart).toEqual(codePoints(golden.chinese).filter((code) => !spaces.has(code)));
});
