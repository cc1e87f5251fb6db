import type { Parked } from "@ft/tensor";
import type { CudaBuffer } from "../context.ts";
import { check, type DriverCalls, made } from "../driver/driver.ts";
import { type Pinned, pinned } from "./pinned.ts";

/** Buffers whose values are on their way to the host, or there. */
export interface Parking {
  park(buffer: CudaBuffer): Parked<CudaBuffer>;
  /** Whether a buffer that is freed now must wait for its copy; it is given back by a later call then. */
  defers(buffer: CudaBuffer): boolean;
  /** Gives back what was deferred: what is queued from now on comes after the copies. */
  settle(): void;
  /** Gives back what was deferred, for copies that were recorded and will never run. */
  abandon(): void;
  dispose(): void;
}

/**
 * Bytes of the place for so many: rounded up to one of four sizes between powers of two, so that values of many sizes, such
 * as batches of any length have, share few places. Places are kept: a recorded graph may write to them.
 */
export function placeBytes(bytes: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(bytes)) - 2);
  return Math.ceil(bytes / step) * step;
}

/** so many copies may be under way before the stream waits for the oldest */
const underWay = 2;

/**
 * Copies buffers to pinned host memory and back on a stream of their own, beside the kernels. The memory of a parked
 * buffer is used again only behind its copy: two copies later the stream waits for it, which by then is over.
 */
export function createParking(driver: DriverCalls, stream: bigint, give: (buffer: CudaBuffer) => void): Parking {
  const copies = made("cuStreamCreate", driver.cuStreamCreate, 1);
  const idleEvents: bigint[] = [];
  const idlePlaces = new Map<number, Pinned[]>();
  const leaving: { readonly buffer: CudaBuffer; readonly copied: bigint; freed: boolean }[] = [];

  const mark = (on: bigint): bigint => {
    // 2: CU_EVENT_DISABLE_TIMING
    const event = idleEvents.pop() ?? made("cuEventCreate", driver.cuEventCreate, 2);
    check("cuEventRecord", driver.cuEventRecord(event, on));
    return event;
  };
  const follow = (on: bigint, event: bigint): void => {
    check("cuStreamWaitEvent", driver.cuStreamWaitEvent(on, event, 0));
    idleEvents.push(event);
  };
  /** The oldest copies are over for whatever is queued from now on. */
  const land = (most: number): void => {
    while (leaving.length > most) {
      const { buffer, copied, freed } = leaving[0]!;
      follow(stream, copied);
      leaving.shift();
      if (freed) give(buffer);
    }
  };
  return {
    park(buffer) {
      land(underWay - 1);
      const { address, bytes } = buffer;
      const size = placeBytes(bytes);
      const place = idlePlaces.get(size)?.pop() ?? pinned(driver, size);
      follow(copies, mark(stream));
      check("copying to the host", driver.cuMemcpyDtoHAsync(place.address, address, bytes, copies));
      leaving.push({ buffer, copied: mark(copies), freed: false });
      let arrived: bigint | undefined;
      return {
        fetch(into) {
          follow(copies, mark(stream));
          check("copying from the host", driver.cuMemcpyHtoDAsync(into.address, place.address, bytes, copies));
          arrived = mark(copies);
        },
        arrive() {
          if (arrived !== undefined) follow(stream, arrived);
          arrived = undefined;
        },
        drop() {
          if (arrived !== undefined) follow(stream, arrived);
          arrived = undefined;
          const idle = idlePlaces.get(size) ?? [];
          idlePlaces.set(size, idle);
          idle.push(place);
        },
      };
    },
    defers(buffer) {
      const found = leaving.find((one) => one.buffer === buffer);
      if (found) found.freed = true;
      return found !== undefined;
    },
    settle: () => land(0),
    abandon() {
      for (const { buffer, copied, freed } of leaving.splice(0)) {
        idleEvents.push(copied);
        if (freed) give(buffer);
      }
    },
    dispose() {
      land(0);
      for (const place of [...idlePlaces.values()].flat()) place.dispose();
      idlePlaces.clear();
      for (const event of idleEvents.splice(0)) driver.cuEventDestroy(event);
      check("cuStreamDestroy", driver.cuStreamDestroy(copies));
    },
  };
}
