import { FtError } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { expectClose, expectEqual, expectSameBytes, numbersOf, relativeError } from "./close.ts";

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

describe("relativeError", () => {
  it("is the largest difference over the largest magnitude wanted", () => {
    expect(relativeError([1, 2, -4.5], [1, 2.25, -5])).toEqual({ error: 0.1, at: 2 });
    expect(relativeError([0.5, 0], [0, 0], 2)).toEqual({ error: 0.25, at: 0 });
  });

  it("takes NaN for NaN and infinity for itself, and nothing else for them", () => {
    expect(relativeError([nan, infinity, 1], [nan, infinity, 1]).error).toBe(0);
    for (const [got, want] of [
      [nan, 1],
      [1, nan],
      [infinity, 1],
      [1, infinity],
      [-infinity, infinity],
      [nan, infinity],
    ] as const)
      expect(relativeError([1, got], [1, want])).toEqual({ error: infinity, at: 1 });
  });

  it("finds any difference from zeros infinitely large", () => {
    expect(relativeError([1e-300], [0]).error).toBe(infinity);
    expect(relativeError([0], [-0]).error).toBe(0);
  });

  it("never accepts another length", () => {
    expect(relativeError([], [1]).error).toBe(infinity);
    expect(relativeError([1, 2], [1]).error).toBe(infinity);
    expect(relativeError([], []).error).toBe(0);
  });
});

describe("the checks", () => {
  it("name the worst element, the bound and its reason", () => {
    const check = (): void => expectClose([1, 2], [1, 2.1], { relative: 1e-2, reason: "two digits" }, "loss");
    expect(check).toThrow(FtError);
    expect(check).toThrow(/loss: element 1 is 2, wanted 2\.1: off by 4\.76e-2 .*0\.01; the bound: two digits/);
    expectClose([1, 2], [1, 2.1], { relative: 5e-2, reason: "one digit" });
    expect(() => expectClose([1], [1, 1], { relative: 1, reason: "any" })).toThrow("1 values, wanted 2");
  });

  it("compare exactly", () => {
    expectEqual([1, nan], [1, nan]);
    expect(() => expectEqual([1], [1 + 2 ** -52])).toThrow("element 0");
    expectSameBytes(Float32Array.of(1, 2), Float32Array.of(1, 2));
    expect(() => expectSameBytes(Float32Array.of(0), Float32Array.of(-0))).toThrow("byte 3 of 4");
    expect(() => expectSameBytes(Float32Array.of(0), Float32Array.of(0, 0))).toThrow(FtError);
  });

  it("read 16-bit floats", () => {
    expect([...numbersOf("bf16", Uint16Array.of(0x3fc0))]).toEqual([1.5]);
    expect([...numbersOf("f16", Uint16Array.of(0x3e00))]).toEqual([1.5]);
    expect([...numbersOf("i32", Int32Array.of(-3))]).toEqual([-3]);
  });
});
