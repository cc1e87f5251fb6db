import type fc from "fast-check";
import { expect } from "vitest";
import { levels, loadNative, type NativeLevel, type NativeLibrary } from "../src/native/library.ts";
import { buildNative } from "../tools/build-native.mjs";

await buildNative();

/** The kernels under test; undefined only where no C compiler is found. */
export const native: NativeLibrary | undefined = loadNative();

/** The instruction sets this processor has. */
export const available: readonly NativeLevel[] = levels.filter((level) => native?.select(level) === level);
native?.select("best");

export const property = (runs: number): fc.Parameters<unknown> => ({ numRuns: runs, seed: 20250101 });

/** Reproducible values in [-1, 1), f32. */
export function values(n: number, seed: number, scale = 1): Float32Array {
  const out = new Float32Array(n);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let i = 0; i < n; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    out[i] = ((state >>> 0) / 2 ** 31 - 1) * scale;
  }
  return out;
}

/**
 * Runs a kernel with one, two and three threads; expects the same bytes and gives them back. `run` returns fresh arrays.
 * Called once per available instruction set through `each`.
 */
export function sameOnThreads<T extends readonly Float32Array[]>(run: () => T): T {
  const [first, ...others] = [1, 2, 3].map((threads) => {
    native!.setThreads(threads);
    expect(native!.threads()).toBe(threads);
    return run();
  });
  for (const other of others)
    for (const [i, array] of first!.entries())
      expect(Buffer.from(array.buffer).equals(Buffer.from(other[i]!.buffer))).toBe(true);
  return first!;
}

/** Expects |actual - expected| <= tolerance * scale[i] for every element; `scale` is what rounding errors grow with. */
export function expectWithin(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  scale: ArrayLike<number> | number,
  tolerance: number,
): void {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  let at = -1;
  for (let i = 0; i < expected.length; i++) {
    const unit = typeof scale === "number" ? scale : scale[i]!;
    const error = Math.abs(actual[i]! - expected[i]!) / Math.max(unit, 1e-30);
    if (!(error <= worst)) {
      worst = error;
      at = i;
    }
  }
  expect(worst, `element ${at}: ${actual[at]} instead of ${expected[at]}`).toBeLessThanOrEqual(tolerance);
}
