import { describe, expect, it } from "vitest";
import { philox, philox4x32, philoxNormal, philoxPermutation } from "./philox.ts";

const words = (counter: [number, number, number, number], key: [number, number]): string[] => {
  const out = new Uint32Array(4);
  philox4x32(counter, key, out);
  return [...out].map((word) => word.toString(16).padStart(8, "0"));
};

describe("philox4x32", () => {
  // known answers of the authors' Random123 library (kat_vectors, philox4x32 with 10 rounds)
  it.each([
    [[0, 0, 0, 0], [0, 0], "6627e8d5 e169c58d bc57ac4c 9b00dbd8"],
    [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], "408f276d 41c83b0e a20bc7c6 6d5451fd"],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], "d16cfe09 94fdcceb 5001e420 24126ea1"],
  ] as const)("counter %j under key %j", (counter, key, want) => {
    expect(words([...counter], [...key]).join(" ")).toBe(want);
  });
});

describe("what is drawn from it", () => {
  it("is the top 24 bits of word i mod 4 of counter i div 4, in any order of asking", () => {
    const draw = philox(0, 0, 0);
    expect([3, 0, 2, 1].map((i) => draw(i) * 2 ** 24)).toEqual([0x9b00db, 0x6627e8, 0xbc57ac, 0xe169c5]);
  });

  it("depends on seed, stream and step", () => {
    const all = [philox(0, 0, 0), philox(1, 0, 0), philox(0, 1, 0), philox(0, 0, 1)].map((draw) => draw(0));
    expect(new Set(all).size).toBe(4);
  });

  it("is normal with mean 0 and deviation 1", () => {
    const normal = philoxNormal(1, 2, 3);
    const values = Array.from({ length: 20_000 }, (_, i) => normal(i));
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
    // four standard errors
    expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(values.length));
    expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / values.length));
  });

  it("is a permutation, another one for another step", () => {
    const [one, two] = [philoxPermutation(50, 1, 0, 0), philoxPermutation(50, 1, 0, 1)];
    expect([...one].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(two).not.toEqual(one);
  });
});
