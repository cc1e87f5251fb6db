import type { Address } from "../context.ts";
import { check, type DriverCalls, made, told } from "../driver/driver.ts";
import type { Ground } from "./arena.ts";

/** The ground of an arena on a card: a reserved range of addresses, and memory mapped into it by pieces. */
export interface CardGround extends Ground {
  /** where the range begins on the card */
  readonly base: Address;
  /** Gives back everything. */
  dispose(): void;
}

const outOfMemory = 2;

/**
 * Reserves addresses for `bytes` on a card, which costs no memory, and fills them by pieces through the driver's virtual
 * memory management: what is idle in one place can move to another without a copy.
 */
export function cardGround(driver: DriverCalls, device: number, bytes: number, pieceBytes: number): CardGround {
  // CUmemAllocationProp: pinned memory on that card
  const properties = new Int32Array(8);
  properties.set([1, 0, 1, device]);
  // CUmemAccessDesc: that card reads and writes
  const access = Int32Array.of(1, device, 3);
  const granularity = told("cuMemGetAllocationGranularity", driver.cuMemGetAllocationGranularity, properties, 0);
  const piece = Math.ceil(pieceBytes / granularity) * granularity;
  const pieces = Math.ceil(bytes / piece);
  const base = made("cuMemAddressReserve", driver.cuMemAddressReserve, pieces * piece, 0, 0n, 0);
  const placeOf = (at: number): Address => base + BigInt(at) * BigInt(piece);
  const handles = new Map<number, bigint>();

  const empty = (at: number): void => {
    const handle = handles.get(at);
    if (handle === undefined) return;
    handles.delete(at);
    check("cuMemUnmap", driver.cuMemUnmap(placeOf(at), piece));
    check("cuMemRelease", driver.cuMemRelease(handle));
  };
  const fill = (first: number, count: number): boolean => {
    if (first + count > pieces) return false;
    for (let at = first; at < first + count; at++) {
      const out = [0n];
      const status = driver.cuMemCreate(out, piece, properties, 0);
      if (status === outOfMemory) {
        for (let done = first; done < at; done++) empty(done);
        return false;
      }
      check("cuMemCreate", status);
      const handle = BigInt(out[0]!);
      check("cuMemMap", driver.cuMemMap(placeOf(at), piece, 0, handle, 0));
      handles.set(at, handle);
    }
    check("cuMemSetAccess", driver.cuMemSetAccess(placeOf(first), count * piece, access, 1));
    return true;
  };
  return {
    piece,
    base,
    fill,
    empty,
    dispose() {
      for (const at of [...handles.keys()]) empty(at);
      check("cuMemAddressFree", driver.cuMemAddressFree(base, pieces * piece));
    },
  };
}
