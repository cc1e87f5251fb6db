import { describe, expect, it } from "vitest";
import { nameOf, sequencesOf } from "./sequences.ts";

const named = (ids: readonly number[], seq: number): string => nameOf(sequencesOf(Int32Array.from(ids), seq));

describe("sequencesOf", () => {
  it("is dense where every row is one run, whatever its id", () => {
    expect(named([1, 1, 1, 7, 7, 7], 3)).toBe("dense");
    expect(named([5], 1)).toBe("dense");
  });

  it("counts runs within rows, padding among them, and rounds up to a power of two", () => {
    expect(named([1, 1, 2, 2, 0, 1, 1, 1, 1, 0], 5)).toBe("packed:8");
    expect(named([1, 2, 3, 0], 4)).toBe("packed:4");
    // the row's end ends a run, though the id goes on
    expect(named([1, 1, 1, 1, 2, 2], 3)).toBe("packed:4");
  });

  it("leaves rows where an id comes back to the kernels of this package", () => {
    expect(named([1, 2, 1], 3)).toBe("own");
    expect(named([1, 1, 2, 2, 1, 2, 1, 1], 4)).toBe("own");
  });
});
