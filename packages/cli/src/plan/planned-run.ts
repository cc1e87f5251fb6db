import { FtError } from "@ft/tensor";
import type { PeakMemory } from "@ft/trainer";
import type { SettledConfig } from "../config/settle.ts";
import { type OpenBackend, plannable } from "../run/open-backend.ts";
import type { TrainingRows } from "../train/rows.ts";
import { describeModel } from "./described-model.ts";
import { largestMoment } from "./estimate.ts";
import { planMemory } from "./plan-memory.ts";
import { measuredRows } from "./planned-batches.ts";
import { size } from "./sizes.ts";

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
}): Promise<PeakMemory | undefined> {
  try {
    const model = await describeModel(config.model);
    const like = await plannable(backend);
    const plan = await planMemory({ config, model, rows: measuredRows(rows.training), like });
    // what the driver takes for itself is neither planned nor measured
    if ("card" in backend) return { tensors: plan.tensors, resident: largestMoment(plan).bytes };
    const { rss, arrayBuffers } = process.memoryUsage();
    return { tensors: plan.tensors, resident: rss - arrayBuffers + largestMoment(plan).bytes };
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
