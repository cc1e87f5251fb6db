import { philox } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { argmax, checkSampling, sampleToken } from "./sample.ts";

const scores = [1, 3, 2, -1, 3];
const softmax = (values: readonly number[], temperature: number): number[] => {
  const e = values.map((value) => Math.exp(value / temperature));
  const total = e.reduce((sum, x) => sum + x, 0);
  return e.map((x) => x / total);
};

/** Shares of 20,000 draws. */
function shares(options: Parameters<typeof sampleToken>[1]): number[] {
  const uniform = philox(1, 2, 3);
  const counts = scores.map(() => 0);
  for (let i = 0; i < 20_000; i++) counts[sampleToken(scores, options, uniform(i))]!++;
  return counts.map((count) => count / 20_000);
}

describe("sampleToken", () => {
  it("is greedy without a temperature, the first of equals", () => {
    expect(argmax(scores)).toBe(1);
    expect(sampleToken(scores, {}, 0.999)).toBe(1);
  });

  it.each([0.5, 1, 2])("draws as the softmax says at temperature %d", (temperature) => {
    const want = softmax(scores, temperature);
    // four standard deviations of a share of 20,000 draws
    for (const [i, share] of shares({ temperature }).entries())
      expect(Math.abs(share - want[i]!)).toBeLessThan(4 * Math.sqrt(0.25 / 20_000));
  });

  it("keeps the k likeliest, and among them their proportions", () => {
    const [a, b, c, d, e] = shares({ temperature: 1, topK: 3 });
    expect([a, d]).toEqual([0, 0]);
    const want = softmax([3, 2, 3], 1);
    for (const [i, share] of [b, c, e].entries()) expect(Math.abs(share! - want[i]!)).toBeLessThan(0.015);
  });

  it("keeps the fewest that reach p together", () => {
    const probabilities = softmax(scores, 1);
    // ids 1 and 4 hold 0.79 of the whole: 0.75 needs both, 0.8 needs the next as well
    expect(probabilities[1]! + probabilities[4]!).toBeGreaterThan(0.75);
    expect(shares({ temperature: 1, topP: 0.75 }).map((share) => share > 0)).toEqual([false, true, false, false, true]);
    expect(shares({ temperature: 1, topP: 0.8 }).map((share) => share > 0)).toEqual([false, true, true, false, true]);
    expect(sampleToken(scores, { temperature: 1, topP: 0.01 }, 0.99)).toBe(1);
  });

  it("survives scores of -Infinity", () => {
    expect(sampleToken([Number.NEGATIVE_INFINITY, 0], { temperature: 1 }, 0.999999)).toBe(1);
  });

  it.each([{ temperature: -1 }, { temperature: Number.NaN }, { topK: 1.5 }, { topP: 0 }, { topP: 1.1 }])(
    "refuses %j",
    (options) => {
      expect(() => checkSampling(options)).toThrow(/\[generate\]/);
    },
  );
});
