import { readFileSync } from "node:fs";
import { type Backend, memory } from "@ft/tensor";

/** The most memory a run has held, in bytes: what a plan made before it can be compared with. */
export interface PeakMemory {
  /** tensors of the backend alive at once */
  readonly tensors: number;
  /** the whole process in physical memory, from its start on */
  readonly resident: number;
}

/** The peaks so far. */
export function peakMemory(backend: Backend): PeakMemory {
  return { tensors: memory(backend).peak, resident: peakResident() };
}

/** Linux keeps a peak of this program; what getrusage says there includes the program that started it. */
function peakResident(): number {
  try {
    const found = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"));
    if (found) return Number(found[1]) * 1024;
  } catch {
    // not Linux
  }
  return process.resourceUsage().maxRSS * 1024;
}
