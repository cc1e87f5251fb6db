import { readFile } from "node:fs/promises";
import { inverseFrequencies } from "@ft/nn";
import { describe, expect, it } from "vitest";
import { scalingOf } from "./rope-from-divisors.ts";

interface Golden {
  readonly headDim: number;
  readonly maxPositions: number;
  readonly rope_theta: number;
  readonly factor: number;
  readonly low_freq_factor: number;
  readonly high_freq_factor: number;
  readonly original_max_position_embeddings: number;
  readonly divisors: number[];
  readonly inverseFrequencies: number[];
}

const file = new URL("../../../../tools/goldens/data/llama-gguf/rope-divisors.json", import.meta.url);
const { scalings }: { scalings: Golden[] } = JSON.parse(await readFile(file, "utf8"));

const facts = ({ headDim, maxPositions, rope_theta: ropeTheta }: Golden) =>
  ({ headDim, maxPositions, ropeTheta, ropeScaling: { type: "default" } }) as const;
const found = (golden: Golden, divisors = golden.divisors) => scalingOf(Float32Array.from(divisors), facts(golden));

describe("scalingOf", () => {
  it.each(scalings)(
    "finds factor $factor, $low_freq_factor to $high_freq_factor of $original_max_position_embeddings",
    (golden) => {
      const scaling = found(golden);
      if (scaling?.type !== "llama3") throw new Error(`found ${JSON.stringify(scaling)}`);
      const { headDim, rope_theta: theta, inverseFrequencies: wanted } = golden;
      const [low, high] = [golden.low_freq_factor, golden.high_freq_factor];
      const context = golden.original_max_position_embeddings;
      const frequencies = inverseFrequencies({ theta, headDim, scaling });
      const unscaled = inverseFrequencies({ theta, headDim });
      expect(frequencies.length).toBe(wanted.length);
      // f32 on both sides, by way of numbers up to 8
      for (const [i, frequency] of frequencies.entries())
        expect(Math.abs(frequency - wanted[i]!) / unscaled[i]!, `frequency ${i}`).toBeLessThan(2e-6);
      expect(scaling.factor).toBe(golden.factor);
      // what shows in divisors: where the ramp begins and ends
      expect(scaling.originalMaxPositions / scaling.lowFrequencyFactor / (context / low)).toBeCloseTo(1, 4);
      expect(scaling.originalMaxPositions / scaling.highFrequencyFactor / (context / high)).toBeCloseTo(1, 4);
      if (low === 1) expect([scaling.originalMaxPositions, scaling.highFrequencyFactor]).toEqual([context, high]);
    },
  );

  it("finds none that gives all but one divisor, nor for LongRoPE's", () => {
    const [golden] = scalings as [Golden];
    expect(golden.divisors.filter((divisor) => divisor > 1 && divisor < golden.factor).length).toBeGreaterThan(5);
    for (const at of [3, 34, golden.divisors.length - 1]) {
      const changed = golden.divisors.map((divisor, i) => (i === at ? divisor * 1.001 : divisor));
      expect(found(golden, changed), `divisor ${at}`).toBeUndefined();
    }
    expect(
      found(
        golden,
        golden.divisors.map((_, i) => 1 + i / 10),
      ),
    ).toBeUndefined();
    expect(found(golden, golden.divisors.toReversed())).toBeUndefined();
    expect(
      found(
        golden,
        golden.divisors.map(() => 2),
      ),
    ).toBeUndefined();
    expect(
      found(
        golden,
        golden.divisors.map(() => 0.5),
      ),
    ).toBeUndefined();
  });

  it("takes divisors of 1 for no scaling", () => {
    const [golden] = scalings as [Golden];
    expect(
      found(
        golden,
        golden.divisors.map(() => 1),
      ),
    ).toEqual({ type: "default" });
  });
});
