import { describe, expect, it } from "vitest";
import type { DriverCalls } from "../driver/driver.ts";
import { createRegion, noMemory } from "./card-memory.ts";

/** Ground of so many bytes for all pieces together. */
function ground(total: number) {
  let left = total;
  return (_bytes: number, piece: number) => ({
    piece,
    base: BigInt(piece) * 2n ** 20n,
    fill(_first: number, count: number) {
      if (count * piece > left) return false;
      left -= count * piece;
      return true;
    },
    empty() {
      left += piece;
    },
    dispose() {},
  });
}

describe("createRegion", () => {
  const mib = 2 ** 20;

  it("keeps small and large blocks apart, and counts both", () => {
    const region = createRegion(ground(1024 * mib), 2048 * mib);
    const [small, large] = [region.take(1000)!, region.take(70 * mib)!];
    expect(region.owns(small) && region.owns(large)).toBe(true);
    expect(region.stats).toMatchObject({ liveBytes: 1024 + 70 * mib, heldBytes: 98 * mib, largest: 70 * mib });
    region.give(large);
    expect(region.stats).toMatchObject({ liveBytes: 1024, peakBytes: 1024 + 70 * mib });
    region.restartPeak();
    expect(region.stats.peakBytes).toBe(1024);
    region.trim();
    expect(region.stats.heldBytes).toBe(2 * mib);
  });

  it("says what a full card holds, and names remedies", () => {
    const region = createRegion(ground(128 * mib), 2048 * mib);
    region.take(60 * mib);
    expect(region.take(90 * mib)).toBeUndefined();
    const told = (free: number[], total: number[]): number => {
      free[0] = 0;
      total[0] = 128 * mib;
      return 0;
    };
    const driver = { cuMemGetInfo: told } as unknown as DriverCalls;
    const error = noMemory(driver, 90 * mib, region.stats);
    expect(error.message).toContain(
      "no 0.09 GiB for one more tensor: 0.06 GiB are in use here, the largest tensor of them 0.06 GiB",
    );
    expect(error.hint).toMatch(/batches.*checkpointing.*QLoRA.*ft plan/);
  });
});
