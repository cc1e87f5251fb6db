import type { Plannable } from "@ft/backend-plan";
import type { SettledConfig } from "../config/settle.ts";
import { changesFor, together } from "./changes.ts";
import type { DescribedModel } from "./described-model.ts";
import { largestMoment } from "./estimate.ts";
import { planMemory } from "./plan-memory.ts";
import { type PlannedRows, rowsFor } from "./planned-batches.ts";
import { size } from "./sizes.ts";

/** What helps, and by how much. */
export interface Advice {
  readonly set: string;
  readonly cost: string;
  readonly peak: number;
  readonly saves: number;
  readonly fits: boolean;
}

interface Question {
  readonly config: SettledConfig;
  readonly model: DescribedModel;
  readonly rows: PlannedRows;
  readonly like: Plannable<unknown>;
  readonly runtime: number;
  readonly limit: number;
  readonly peak: number;
}

/** Plans again with each change, and then with the best of them together until the run fits. */
export async function adviseFor({ config, model, rows, like, runtime, limit, peak }: Question): Promise<Advice[]> {
  const peakOf = async (changed: SettledConfig): Promise<number> => {
    const same = changed.maxLength === config.maxLength && changed.batchSize === config.batchSize;
    const planned = same ? rows : await rowsFor(changed, model);
    return runtime + largestMoment(await planMemory({ config: changed, model, rows: planned, like })).bytes;
  };
  const circumstances = { quantized: model.stored !== undefined, card: like.name === "cuda" };
  const tried: (Advice & { readonly config: SettledConfig })[] = [];
  for (const { set, cost, config: changed } of changesFor(config, circumstances)) {
    const now = await peakOf(changed);
    if (now < peak) tried.push({ set, cost, peak: now, saves: peak - now, fits: now <= limit, config: changed });
  }
  const shown = tried.map(({ config: _, ...advice }) => advice);
  if (shown.some((advice) => advice.fits)) return shown;
  // none is enough alone
  let sofar: { set: string; config: SettledConfig; peak: number } | undefined;
  for (const next of [...tried].sort((a, b) => b.saves - a.saves)) {
    if (sofar === undefined) {
      sofar = next;
      continue;
    }
    const both = together(config, sofar.config, next.config);
    if (both.method !== "full" && both.weightDtype !== "f32") continue;
    const now = await peakOf(both);
    if (now >= sofar.peak) continue;
    sofar = { set: `${sofar.set}; ${next.set}`, config: both, peak: now };
    if (now <= limit) break;
  }
  if (sofar === undefined || sofar.set === tried[0]?.set) return shown;
  return [
    ...shown,
    { set: sofar.set, cost: "all of these", peak: sofar.peak, saves: peak - sofar.peak, fits: sofar.peak <= limit },
  ];
}

/** The same as lines of text. */
export function adviceLines(advice: readonly Advice[], peak: number, limit: number): string[] {
  if (advice.length === 0)
    return ["", `nothing that ft knows makes this run smaller than ${size(peak)}: take a smaller model`];
  const lines = advice.map(({ set, cost, peak: now, saves, fits }) => {
    const result = `${size(now)}${fits ? ", fits" : ""}`;
    return `  ${set}\n      saves ${size(saves)} -> ${result}; ${cost}`;
  });
  return ["", `${size(peak - limit)} too much. What would help, each planned again:`, ...lines];
}
