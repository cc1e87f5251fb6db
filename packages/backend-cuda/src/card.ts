import { FtError } from "@ft/tensor";
import type { CardFacts } from "./context.ts";
import { check, type DriverCalls, made, told } from "./driver/driver.ts";

/** CU_DEVICE_ATTRIBUTE_* */
const attributes = { multiprocessors: 16, major: 75, minor: 76, virtualMemory: 102 } as const;

/** A card that is open: facts about it, and the driver's handles. */
export interface OpenCard {
  readonly facts: CardFacts;
  readonly device: number;
  readonly stream: bigint;
  close(): void;
}

/** Opens the card of this ordinal. Throws code "backend" when it is absent, older than compute capability 8.0, or unusable. */
export function openCard(driver: DriverCalls, ordinal: number): OpenCard {
  const count = told("cuDeviceGetCount", driver.cuDeviceGetCount);
  if (ordinal >= count)
    throw new FtError(
      "backend",
      `[cuda] there is no card ${ordinal}: ${count === 0 ? "none is visible" : `the cards are 0 to ${count - 1}`}`,
      count === 0 ? "look at CUDA_VISIBLE_DEVICES and nvidia-smi, or use the backend cpu" : "choose one of them",
    );
  const device = told("cuDeviceGet", driver.cuDeviceGet, ordinal);
  const attribute = (which: number): number => told("cuDeviceGetAttribute", driver.cuDeviceGetAttribute, which, device);
  const name = Buffer.alloc(256);
  check("cuDeviceGetName", driver.cuDeviceGetName(name, name.length, device));
  const facts: CardFacts = {
    name: name.toString("utf8").replace(/\0.*$/s, ""),
    capability: 10 * attribute(attributes.major) + attribute(attributes.minor),
    multiprocessors: attribute(attributes.multiprocessors),
    memory: told("cuDeviceTotalMem", driver.cuDeviceTotalMem, device),
  };
  if (facts.capability < 80 || attribute(attributes.virtualMemory) === 0)
    throw new FtError(
      "backend",
      `[cuda] ${facts.name} has compute capability ${facts.capability / 10}: it has no bf16`,
      "a card of compute capability 8.0 (Ampere) or newer is needed; use the backend cpu",
    );
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
