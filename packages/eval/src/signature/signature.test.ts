import { expect, test } from "vitest";
import { referenceStatistics, referencesPerPair, signature, twoDecimals } from "./signature.ts";

test("prints parts in order, the version last", () => {
  expect(signature(1, [["case", "mixed"]])).toBe("nrefs:1|case:mixed|version:2.6.0");
  expect(signature("var", [])).toBe("nrefs:var|version:2.6.0");
});

test("knows whether all pairs have the same number of references", () => {
  const of = (...counts: number[]) => {
    const rows = counts.map((count) => referenceStatistics(new Array<string>(count).fill("")));
    const sum = (column: 0 | 1) => rows.reduce((total, row) => total + row[column], 0);
    return referencesPerPair(sum(0), sum(1), counts.length);
  };
  expect(of(1, 1, 1)).toBe(1);
  expect(of(3, 3)).toBe(3);
  expect(of(1, 2, 3)).toBe("var");
  expect(of(2, 2, 1)).toBe("var");
});

test("rounds to two decimals as Python does", () => {
  // f"{x:.2f}" in Python 3.11
  const python = [
    [0.1, "0.10"],
    [1, "1.00"],
    [0.005, "0.01"],
    [0.125, "0.12"],
    [0.375, "0.38"],
    [0.625, "0.62"],
    [0.875, "0.88"],
    [2.675, "2.67"],
    [0, "0.00"],
  ] as const;
  for (const [value, text] of python) expect(twoDecimals(value)).toBe(text);
});
