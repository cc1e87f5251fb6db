import { expect, it } from "vitest";

// a script of the page, which has no types
const file: string = new URL("../page/scales.js", import.meta.url).href;
const { logTicks, nearest, short, smooth, ticks, timeTicks } = await import(file);

it("ticks are round numbers inside the range", () => {
  expect(ticks(0, 180, 4)).toEqual([0, 50, 100, 150]);
  expect(ticks(1.3, 4.9, 4)).toEqual([2, 3, 4]);
  expect(ticks(5, 5, 4)).toEqual([5]);
  expect(timeTicks(0, 4800, 8)).toEqual([0, 600, 1200, 1800, 2400, 3000, 3600, 4200, 4800]);
  expect(timeTicks(0, 10 * 86400, 5)).toEqual([0, 2, 4, 6, 8, 10].map((days) => days * 86400));
  expect(logTicks(0.01, 1000)).toEqual([0.01, 0.1, 1, 10, 100, 1000].map((tick) => expect.closeTo(tick, 9)));
  expect(logTicks(1.2, 4.9)).toEqual([1.5, 2, 3, 4]);
});

it("smoothing starts without a bias, ends near a constant, and passes over what is not finite", () => {
  expect(smooth([3, 3, 3], 0.9)).toEqual([3, 3, 3].map((value) => expect.closeTo(value, 12)));
  // by hand: 0.5 * 1 / 0.5, then (0.25 * 1 + 0.5 * 3) / 0.75
  expect(smooth([1, 3], 0.5)).toEqual([1, expect.closeTo(1.75 / 0.75, 12)]);
  expect(smooth([1, Number.NaN, 3], 0.5)).toEqual([1, Number.NaN, expect.closeTo(1.75 / 0.75, 12)]);
  expect(smooth([1, 5], 0)).toEqual([1, 5]);
});

it("finds the nearest point", () => {
  const xs = [0, 1, 5, 6];
  expect([-3, 0.4, 0.6, 2.9, 3.1, 99].map((x) => nearest(xs, x))).toEqual([0, 0, 1, 1, 2, 3]);
  expect(nearest([7], 3)).toBe(0);
});

it.each([
  [0, "0"],
  [0.00012, "0.00012"],
  [2.5e-7, "2.5e−7"],
  [1659.4123, "1659"],
  [12345, "12.35k"],
  [1.5e9, "1.5G"],
  [-20000, "-20k"],
  [Number.NaN, "not finite"],
])("%s is shown as %s", (value, text) => {
  expect(short(value)).toBe(text);
});
