import { FtError } from "@ft/tensor";
import type { CardFacts } from "./context.ts";
import { check, type DriverCalls, made, told } from "./driver/driver.ts";
import { readCard } from "./libraries/cards.ts";

/** A card that is open: facts about it, and the driver's handles. */
export interface OpenCard {
  readonly facts: CardFacts;
  readonly device: number;
  readonly stream: bigint;
  close(): void;
}

/** Opens the card of this ordinal. Throws code "backend" when it is absent, or unusable. */
export function openCard(driver: DriverCalls, ordinal: number): OpenCard {
  const count = told("cuDeviceGetCount", driver.cuDeviceGetCount);
  if (ordinal >= count)
    throw new FtError(
      "backend",
      `[cuda] there is no card ${ordinal}: ${count === 0 ? "none is visible" : `the cards are 0 to ${count - 1}`}`,
      count === 0 ? "look at CUDA_VISIBLE_DEVICES and nvidia-smi, or use the backend cpu" : "choose one of them",
    );
  const device = told("cuDeviceGet", driver.cuDeviceGet, ordinal);
  const { facts, why } = readCard(driver, device);
  if (why !== undefined) throw new FtError("backend", `[cuda] ${facts.name}: ${why}`, "use the backend cpu");
  const context = made("opening the card", driver.cuDevicePrimaryCtxRetain, device);
  check("cuCtxSetCurrent", driver.cuCtxSetCurrent(context));
  // 1: it does not wait for the default stream
  const stream = made("cuStreamCreate", driver.cuStreamCreate, 1);
  return {
    facts,
    device,
    stream,
    close() {
      check("cuStreamDestroy", driver.cuStreamDestroy(stream));
      check("cuDevicePrimaryCtxRelease", driver.cuDevicePrimaryCtxRelease(device));
    },
  };
}
