import { expect, it } from "vitest";
import { randomFrom } from "./random.ts";

it("makes the same choices for a seed, and others for another", () => {
  const numbers = (seed: number, stream?: number): number[] => {
    const random = randomFrom(seed, stream);
    return [random.uniform(), random.normal(), random.int(0, 1000), random.pick([1, 2, 3, 4])];
  };
  expect(numbers(7)).toEqual(numbers(7));
  expect(numbers(8)).not.toEqual(numbers(7));
  expect(numbers(7, 1)).not.toEqual(numbers(7));
});

it("reaches both ends of a range, and refuses to pick from nothing", () => {
  const random = randomFrom(3);
  const seen = new Set(random.list(200, () => random.int(-2, 2)));
  expect([...seen].sort((a, b) => a - b)).toEqual([-2, -1, 0, 1, 2]);
  expect(() => random.pick([])).toThrow("nothing to pick from");
});

it("draws normal numbers with mean 0 and variance 1", () => {
  const random = randomFrom(5);
  const draws = random.list(20_000, () => random.normal());
  const mean = draws.reduce((sum, x) => sum + x, 0) / draws.length;
  const variance = draws.reduce((sum, x) => sum + (x - mean) ** 2, 0) / draws.length;
  // four standard errors of 20,000 draws
  expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(20_000));
  expect(Math.abs(variance - 1)).toBeLessThan(4 * Math.sqrt(2 / 20_000));
});
