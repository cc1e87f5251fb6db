import { FtError } from "@ft/tensor";
import type { PeakMemory } from "@ft/trainer";
import type { SettledConfig } from "../config/settle.ts";
import { type OpenBackend, plannable } from "../run/open-backend.ts";
import type { TrainingRows } from "../train/rows.ts";
import { describeModel } from "./described-model.ts";
import { largestMoment, rowsOf } from "./estimate.ts";
import { planMemory } from "./plan-memory.ts";
import { measuredRows } from "./planned-batches.ts";
import { size } from "./sizes.ts";

/** A planned peak, and what a step holds. */
export interface PlannedMemory extends PeakMemory {
  /** when the most is held */
  readonly moment: "loading" | "a step" | "saving";
  /** bytes of what a step holds, by name */
  readonly parts: readonly { readonly name: string; readonly bytes: number }[];
}

/** Planned and measured peaks of a run; planned is undefined where there is no plan of such a model. */
export interface ComparedMemory {
  readonly planned: PeakMemory | undefined;
  readonly measured: PeakMemory;
}

/** What a run that is about to begin will hold at its largest moment. A plan that fails stops nothing. */
export async function planOfRun({
  config,
  rows,
  backend,
}: {
  readonly config: SettledConfig;
  readonly rows: TrainingRows;
  readonly backend: OpenBackend;
}): Promise<PlannedMemory | undefined> {
  try {
    const model = await describeModel(config.model);
    const like = await plannable(backend);
    const plan = await planMemory({ config, model, rows: measuredRows(rows.training), like });
    // what the driver takes for itself is neither planned nor measured
    const { rss, arrayBuffers } = process.memoryUsage();
    const runtime = "card" in backend ? 0 : rss - arrayBuffers;
    const { name: moment, bytes } = largestMoment(plan);
    const placement = config.optimizerPlacement;
    const parts = rowsOf(plan, runtime, placement, { name: "card" in backend ? "cuda" : "cpu", runtimeNote: "" })
      .filter((part) => part.bytes > 0 && !part.note.endsWith("not part of the sum"))
      .map((part) => ({ name: part.name, bytes: part.bytes }));
    return { tensors: plan.tensors, resident: runtime + bytes, moment, parts };
  } catch (error) {
    if (FtError.is(error)) return undefined;
    throw error;
  }
}

/** One line: "memory      planned 1.03 GB (tensors 0.76), measured 1.04 GB (tensors 0.76)". */
export function describePlanned({ planned, measured }: ComparedMemory): string {
  const of = ({ resident, tensors }: PeakMemory): string => `${size(resident)}, of it tensors ${size(tensors)}`;
  const before = planned === undefined ? "not planned" : `planned ${of(planned)}`;
  return `memory      ${before}; measured ${of(measured)}`;
}
