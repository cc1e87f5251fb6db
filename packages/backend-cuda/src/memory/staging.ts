import type { Address } from "../context.ts";
import { check, type DriverCalls, made } from "../driver/driver.ts";
import { type Pinned, pinned } from "./pinned.ts";

/** bytes of one slot, and how many there are: while one is filled by the host, the others are on their way */
const slotBytes = 4 << 20;
const slots = 4;
/** CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING: the host sleeps while it waits */
const eventFlags = 3;

/** Copies between host and card through pinned memory, in the order of a stream. */
export interface Staging {
  /** Queues a copy to the card. `data` may change as soon as this returns. */
  upload(to: Address, data: Uint8Array): void;
  /** Waits for everything that was queued, and copies from the card. */
  download(from: Address, bytes: number): ArrayBuffer;
  /** Waits for everything that was queued. */
  wait(): void;
  dispose(): void;
}

export function createStaging(driver: DriverCalls, stream: bigint): Staging {
  const ring: { readonly memory: Pinned; readonly left: bigint; busy: boolean }[] = [];
  const finished = made("cuEventCreate", driver.cuEventCreate, eventFlags);
  let current = 0;
  let used = 0;

  const slot = (at: number): (typeof ring)[number] => {
    ring[at] ??= {
      memory: pinned(driver, slotBytes),
      left: made("cuEventCreate", driver.cuEventCreate, eventFlags),
      busy: false,
    };
    return ring[at];
  };
  const next = (): void => {
    const full = slot(current);
    check("cuEventRecord", driver.cuEventRecord(full.left, stream));
    full.busy = true;
    current = (current + 1) % slots;
    used = 0;
    const fresh = slot(current);
    if (fresh.busy) check("cuEventSynchronize", driver.cuEventSynchronize(fresh.left));
    fresh.busy = false;
  };
  const wait = (): void => {
    check("cuEventRecord", driver.cuEventRecord(finished, stream));
    check("waiting for the card", driver.cuEventSynchronize(finished));
  };
  return {
    upload(to, data) {
      for (let done = 0; done < data.length; ) {
        if (used === slotBytes) next();
        const { memory } = slot(current);
        const count = Math.min(data.length - done, slotBytes - used);
        memory.bytes.set(data.subarray(done, done + count), used);
        const from = memory.address + BigInt(used);
        check("copying to the card", driver.cuMemcpyHtoDAsync(to + BigInt(done), from, count, stream));
        done += count;
        // the next copy begins at a multiple of 16 bytes
        used = Math.min(slotBytes, (used + count + 15) & ~15);
      }
    },
    download(from, bytes) {
      const out = new Uint8Array(new ArrayBuffer(bytes));
      // what a slot still carries must be on the card before the host memory is written
      if (used > 0) next();
      const { memory } = slot(current);
      for (let done = 0; done < bytes; done += slotBytes) {
        const count = Math.min(bytes - done, slotBytes);
        check("copying from the card", driver.cuMemcpyDtoHAsync(memory.address, from + BigInt(done), count, stream));
        wait();
        out.set(memory.bytes.subarray(0, count), done);
      }
      if (bytes === 0) wait();
      return out.buffer;
    },
    wait,
    dispose() {
      for (const { memory, left } of ring.splice(0)) {
        memory.dispose();
        driver.cuEventDestroy(left);
      }
      driver.cuEventDestroy(finished);
    },
  };
}
