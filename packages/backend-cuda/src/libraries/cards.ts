import { readFileSync } from "node:fs";
import { FtError } from "@ft/tensor";
import type { CardFacts } from "../context.ts";
import { check, type DriverCalls, loadDriver, told } from "../driver/driver.ts";

/** A card that the driver shows, usable or not. */
export interface Card {
  /** its number, as the driver counts */
  readonly device: number;
  readonly name: string;
  /** 90 for compute capability 9.0 */
  readonly capability: number;
  /** bytes */
  readonly memory: number;
  /** why this backend cannot use it; absent when it can */
  readonly why?: string;
}

/** The driver and what it runs. */
export interface Driver {
  /** "580.95.05"; absent where the system does not say */
  readonly version?: string;
  /** the newest CUDA version that it runs: 13.0 is 13000 */
  readonly cuda: number;
}

/** Compute capability 8.0, Ampere: the first with bf16. */
const leastCapability = 80;
/** CUDA 12.0: the first driver that runs these kernels and libraries. */
const leastCuda = 12_000;
/** CU_DEVICE_ATTRIBUTE_* */
const attributes = { multiprocessors: 16, major: 75, minor: 76, virtualMemory: 102 } as const;

/** The driver, loaded. Throws code "backend" when there is none, or when it is too old. */
export function findDriver(calls: DriverCalls = loadDriver()): Driver {
  const cuda = told("cuDriverGetVersion", calls.cuDriverGetVersion);
  const version = moduleVersion();
  if (cuda < leastCuda)
    throw new FtError(
      "backend",
      `[cuda] the NVIDIA driver${version ? ` ${version}` : ""} runs CUDA ${cudaText(cuda)} at most; CUDA 12.0 is needed`,
      "install driver 525 or newer, or use the backend cpu",
    );
  return { cuda, ...(version !== undefined && { version }) };
}

/** Every card that the driver shows; none where CUDA_VISIBLE_DEVICES hides them. Throws code "backend" without a driver. */
export function listCards(calls: DriverCalls = loadDriver()): readonly Card[] {
  const cards: Card[] = [];
  const count = told("cuDeviceGetCount", calls.cuDeviceGetCount);
  for (let ordinal = 0; ordinal < count; ordinal++) {
    const { facts, why } = readCard(calls, told("cuDeviceGet", calls.cuDeviceGet, ordinal));
    const { name, capability, memory } = facts;
    cards.push({ device: ordinal, name, capability, memory, ...(why !== undefined && { why }) });
  }
  return cards;
}

/** Facts about a card, by the driver's handle, and why this backend cannot use it. */
export function readCard(calls: DriverCalls, device: number): { readonly facts: CardFacts; readonly why?: string } {
  const attribute = (which: number): number => told("cuDeviceGetAttribute", calls.cuDeviceGetAttribute, which, device);
  const name = Buffer.alloc(256);
  check("cuDeviceGetName", calls.cuDeviceGetName(name, name.length, device));
  const facts: CardFacts = {
    name: name.toString("utf8").replace(/\0.*$/s, ""),
    capability: 10 * attribute(attributes.major) + attribute(attributes.minor),
    multiprocessors: attribute(attributes.multiprocessors),
    memory: told("cuDeviceTotalMem", calls.cuDeviceTotalMem, device),
  };
  if (facts.capability < leastCapability)
    return {
      facts,
      why: `compute capability ${capabilityText(facts.capability)} has no bf16; 8.0 (Ampere) or newer is needed`,
    };
  return attribute(attributes.virtualMemory) === 0 ? { facts, why: "it has no virtual memory management" } : { facts };
}

/** 90 as "9.0", 120 as "12.0". */
export function capabilityText(capability: number): string {
  return `${Math.floor(capability / 10)}.${capability % 10}`;
}

/** 13000 as "13.0", 12090 as "12.9". */
export function cudaText(cuda: number): string {
  return `${Math.floor(cuda / 1000)}.${Math.floor((cuda % 1000) / 10)}`;
}

/** The version of the kernel's module, which is the driver's. */
function moduleVersion(): string | undefined {
  try {
    return /\b(\d{3}\.\d+(?:\.\d+)?)\b/.exec(readFileSync("/proc/driver/nvidia/version", "utf8"))?.[1];
  } catch {
    return undefined;
  }
}
