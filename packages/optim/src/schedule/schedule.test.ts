import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { schedules } from "../schedules.ts";
import { constant } from "./constant.ts";
import { cosine } from "./cosine.ts";
import { linear } from "./linear.ts";

interface Case {
  schedule: string;
  peak: number;
  warmupSteps: number;
  totalSteps: number;
  learningRates: number[];
}
const file = new URL("../../../../tools/goldens/data/optim/golden.json", import.meta.url);
const golden: { schedules: Case[] } = JSON.parse(readFileSync(file, "utf8"));

describe("against transformers' get_scheduler", () => {
  test.each(golden.schedules)("$schedule, $warmupSteps of $totalSteps", (c) => {
    const make = schedules[c.schedule.replace("_with_warmup", "")]!;
    const schedule = make({ learningRate: c.peak, totalSteps: c.totalSteps, warmupSteps: c.warmupSteps });
    // Both are f64; only the order of the multiplications differs.
    for (const [i, rate] of c.learningRates.entries())
      expect(Math.abs(schedule.learningRate(i + 1) - rate), `step ${i + 1}`).toBeLessThanOrEqual(1e-15 * c.peak);
  });
});

test("warmupRatio is a share of the steps, rounded up as transformers does", () => {
  expect(linear({ learningRate: 1, totalSteps: 101, warmupRatio: 0.03 }).settings.warmupSteps).toBe(4);
});

test("minRatio is the floor: transformers' cosine_with_min_lr", () => {
  const schedule = cosine({ learningRate: 2, totalSteps: 10, minRatio: 0.1 });
  expect(schedule.learningRate(1)).toBe(2);
  expect(schedule.learningRate(6)).toBeCloseTo(2 * (0.5 * 0.9 + 0.1), 12);
  expect(schedule.learningRate(11)).toBeCloseTo(0.2, 12);
  expect(schedule.learningRate(1000)).toBeCloseTo(0.2, 12);
  expect(linear({ learningRate: 2, totalSteps: 10, minRatio: 0.1 }).learningRate(11)).toBeCloseTo(0.2, 12);
});

test("settings out of range are config errors that name the key", () => {
  expect(() => constant({ learningRate: Number.NaN, totalSteps: 1 })).toThrow(/learningRate is NaN/);
  expect(() => linear({ learningRate: 1, totalSteps: 0 })).toThrow(/totalSteps is 0/);
  expect(() => linear({ learningRate: 1, totalSteps: 5, warmupRatio: 1.5 })).toThrow(/warmupRatio is 1.5/);
  expect(() => linear({ learningRate: 1, totalSteps: 5, warmupRatio: 0.1, warmupSteps: 1 })).toThrow(/both/);
  expect(() => cosine({ learningRate: 1, totalSteps: 5, minRatio: -1 })).toThrow(/minRatio is -1/);
});
