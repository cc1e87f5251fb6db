import { FtError } from "@ft/tensor";
import type { SettledConfig } from "../config/settle.ts";
import { openBackend } from "../run/open-backend.ts";
import type { DescribedModel } from "./described-model.ts";
import { duration, largestMoment, secondsOf } from "./estimate.ts";
import { measureRates, type Rates } from "./machine.ts";
import { type MemoryPlan, planMemory } from "./plan-memory.ts";
import type { PlannedRows } from "./planned-batches.ts";
import { size } from "./sizes.ts";

/** A backend and what its products are made of, with what the run takes there. */
export interface Way {
  readonly backend: "cpu" | "cuda";
  /** on a card, what activations are computed in */
  readonly compute: "f32" | "bf16" | "f16";
  /** why it cannot be had here; the rest is absent then */
  readonly missing?: string;
  readonly peak?: number;
  /** seconds of a step */
  readonly step?: number;
}

/** What is known of the way that the configuration chose. */
export interface Chosen {
  readonly config: SettledConfig;
  readonly model: DescribedModel;
  readonly rows: PlannedRows;
  readonly plan: MemoryPlan;
  /** undefined on a card */
  readonly rates: Rates | undefined;
  readonly runtime: number;
}

/** The run on the CPU with every dtype of products that there is; on a card, as it was chosen. */
export async function waysOf({ config, model, rows, plan, rates, runtime }: Chosen): Promise<readonly Way[]> {
  const ways: Way[] = [];
  const chosen = runtime + largestMoment(plan).bytes;
  if (rates === undefined) return [{ backend: "cuda", compute: config.dtype ?? "f32", peak: chosen }];
  for (const compute of ["f32", "bf16"] as const) {
    const at = { backend: "cpu", compute } as const;
    if (compute === config.compute) {
      ways.push({ ...at, peak: chosen, step: secondsOf(plan, rates) });
      continue;
    }
    try {
      const like = await openBackend("cpu", { threads: config.threads, compute });
      const other = await planMemory({ config: { ...config, compute }, model, rows, like });
      const step = secondsOf(other, await measureRates(like));
      ways.push({ ...at, peak: runtime + largestMoment(other).bytes, step });
    } catch (error) {
      if (!FtError.is(error) || error.code !== "unsupported") throw error;
      ways.push({ ...at, missing: "this processor has no such products" });
    }
  }
  return ways;
}

/** The same as lines of text. */
export function wayLines(ways: readonly Way[], chosen: SettledConfig): string[] {
  return ways.map(({ backend, compute, missing, peak = 0, step }) => {
    const taken = backend === "cuda" || compute === chosen.compute ? "  <- this run" : "";
    const what = missing ?? `${size(peak).padEnd(9)}${step === undefined ? "" : ` about ${duration(step)} a step`}`;
    return `${backend}, ${compute.padEnd(5)}  ${what}${taken}`;
  });
}
