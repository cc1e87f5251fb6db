import koffi from "koffi";
import { describe, expect, it } from "vitest";
import type { CudaBuffer } from "../context.ts";
import type { DriverCalls } from "../driver/driver.ts";
import { createParking, placeBytes } from "./parking.ts";

const main = 1n;

/** A driver that refuses what CUDA does: a stream that is recorded follows only what is recorded with it, and no other does. */
function setup() {
  const state = { capturing: false, places: 0 };
  const given: bigint[] = [];
  const events = new Map<bigint, boolean>();
  const memory: Uint8Array[] = [];
  let handles = 100n;
  const make = (out: bigint[]): number => {
    out[0] = ++handles;
    return 0;
  };
  const driver = {
    cuStreamCreate: make,
    cuEventCreate: make,
    cuEventRecord: (event: bigint) => {
      events.set(event, state.capturing);
      return 0;
    },
    cuStreamWaitEvent: (_: bigint, event: bigint) => (events.get(event) === state.capturing ? 0 : 905),
    cuMemHostAlloc: (out: bigint[], count: number) => {
      state.places++;
      const bytes = new Uint8Array(new ArrayBuffer(Math.max(count, 64)));
      memory.push(bytes);
      out[0] = BigInt(koffi.address(bytes));
      return 0;
    },
    cuMemcpyDtoHAsync: () => 0,
    cuMemcpyHtoDAsync: () => 0,
  } as unknown as DriverCalls;
  const parking = createParking(driver, main, ({ address }) => given.push(address));
  return { parking, given, state };
}

const buffer = (address: bigint, bytes = 1024): CudaBuffer => ({ address, bytes });

describe("parking", () => {
  it("gives a freed buffer back behind its copy, two copies later", () => {
    const { parking, given } = setup();
    const buffers = [1n, 2n, 3n].map((address) => buffer(address));
    const seen = buffers.map((one) => {
      parking.park(one);
      expect(parking.defers(one)).toBe(true);
      return [...given];
    });
    expect(seen).toEqual([[], [], [1n]]);
    parking.settle();
    expect(given).toEqual([1n, 2n, 3n]);
    expect(parking.defers(buffers[0]!)).toBe(false);
  });

  it("begins and ends recording with no copies under way", () => {
    const { parking, given, state } = setup();
    const early = buffer(1n);
    parking.park(early);
    parking.defers(early);
    state.capturing = true;
    // what must come first: recorded work cannot follow a copy that is not recorded
    expect(() => parking.settle()).toThrow(/905/);
    state.capturing = false;
    parking.settle();
    expect(given).toEqual([1n]);
    state.capturing = true;
    const late = buffer(2n);
    const parked = parking.park(late);
    parking.defers(late);
    parked.fetch(buffer(3n));
    parked.arrive();
    parking.settle();
    state.capturing = false;
    parking.park(buffer(4n));
    parking.settle();
    expect(given).toEqual([1n, 2n]);
  });

  it("forgets copies whose recording failed", () => {
    const { parking, given, state } = setup();
    state.capturing = true;
    const lost = buffer(1n);
    parking.park(lost);
    parking.defers(lost);
    state.capturing = false;
    parking.abandon();
    expect(given).toEqual([1n]);
    for (let i = 0; i < 3; i++) parking.park(buffer(2n));
  });

  it("keeps few places for values of many sizes", () => {
    const { parking, state } = setup();
    for (let bytes = 1000; bytes < 64_000; bytes += 100) parking.park(buffer(1n, bytes)).drop();
    expect(state.places).toBeLessThan(30);
    for (const bytes of [1, 5, 1024, 1025, 100_000]) {
      expect(placeBytes(bytes)).toBeGreaterThanOrEqual(bytes);
      expect(placeBytes(bytes)).toBeLessThanOrEqual(Math.ceil(1.25 * bytes));
    }
    expect(placeBytes(1024)).toBe(1024);
  });
});
