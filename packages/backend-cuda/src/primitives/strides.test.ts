import { randomFrom } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { broadcastStrides, denseStrides, walk } from "./strides.ts";

/** Where element i of a walk lies, as kernels compute it. */
function placeOf(i: number, sizes: readonly number[], strides: readonly number[]): number {
  let [rest, at] = [i, 0];
  for (let axis = sizes.length - 1; axis >= 0; axis--) {
    at += (rest % sizes[axis]!) * strides[axis]!;
    rest = Math.floor(rest / sizes[axis]!);
  }
  return at;
}

describe("walk", () => {
  it("finds the same places as the axes it was given, in at most six of its own", () => {
    const random = randomFrom(3);
    for (let trial = 0; trial < 300; trial++) {
      const shape = random.list(random.int(0, 6), () => random.int(1, 4));
      const operand = (): number[] =>
        random.chance(0.4)
          ? denseStrides(shape)
          : broadcastStrides(shape.map((d) => (random.chance(0.4) ? 1 : d)).slice(random.int(0, shape.length)), shape);
      const strides = [operand(), operand()];
      const { sizes, strides: merged } = walk(shape, strides);
      expect(sizes).toHaveLength(6);
      const count = shape.reduce((n, d) => n * d, 1);
      for (let i = 0; i < count; i++)
        for (const [k, own] of strides.entries()) expect(placeOf(i, sizes, merged[k]!)).toBe(placeOf(i, shape, own));
    }
  });

  it("makes one axis of a dense array", () => {
    expect(walk([2, 3, 4], [denseStrides([2, 3, 4])])).toEqual({
      sizes: [1, 1, 1, 1, 1, 24],
      strides: [[0, 0, 0, 0, 0, 1]],
    });
  });
});
