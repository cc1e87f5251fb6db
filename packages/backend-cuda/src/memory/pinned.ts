import koffi from "koffi";
import type { Address } from "../context.ts";
import { check, type DriverCalls, made } from "../driver/driver.ts";

/** Host memory that the card copies from and to by itself. */
export interface Pinned {
  readonly address: Address;
  readonly bytes: Uint8Array<ArrayBuffer>;
  dispose(): void;
}

/** Takes pinned host memory, of at most 2 GiB. */
export function pinned(driver: DriverCalls, count: number): Pinned {
  const address = made("cuMemHostAlloc", driver.cuMemHostAlloc, count, 0);
  const memory: ArrayBuffer = koffi.view(address, count);
  return {
    address,
    bytes: new Uint8Array(memory),
    dispose: () => check("cuMemFreeHost", driver.cuMemFreeHost(address)),
  };
}
