import { cpus, totalmem } from "node:os";
import type { EncodeStats, Example } from "@ft/data";
import type { PlannedMemory } from "../plan/planned-run.ts";
import type { TrainingRows } from "./rows.ts";

/** What run.json says beside what a resume needs: for a reader, who asks what the run was made of. */
export interface RunFacts {
  /** when the process began that wrote this, ISO 8601 */
  readonly started: string;
  readonly data: { readonly training: RowFacts; readonly heldOut?: RowFacts };
  readonly parameters: { readonly trainable: number; readonly total: number };
  readonly machine: Machine;
  readonly planned?: PlannedMemory;
}

/** Rows after encoding. */
export interface RowFacts extends EncodeStats {
  readonly lengths: LengthHistogram;
}

/** How many rows have 1 to `width` tokens, how many `width` + 1 to 2 `width`, and so on. */
export interface LengthHistogram {
  readonly width: number;
  readonly counts: readonly number[];
}

/** Where a run computed. */
export interface Machine {
  /** as `ft train` says it: "cpu, native kernels, 4 threads" */
  readonly backend: string;
  /** "linux x64" */
  readonly platform: string;
  readonly processor: string;
  /** bytes */
  readonly memory: number;
}

/** The facts of a run that is about to begin. */
export function factsOf(
  { stats, heldOutStats, lengths, heldOutLengths }: TrainingRows,
  { trainable, total }: RunFacts["parameters"],
  backend: string,
  planned: PlannedMemory | undefined,
): RunFacts {
  return {
    started: new Date().toISOString(),
    data: {
      training: { ...stats, lengths },
      ...(heldOutStats && heldOutLengths && { heldOut: { ...heldOutStats, lengths: heldOutLengths } }),
    },
    parameters: { trainable, total },
    machine: {
      backend,
      platform: `${process.platform} ${process.arch}`,
      processor: cpus()[0]?.model.trim() || "unknown",
      memory: totalmem(),
    },
    ...(planned && { planned }),
  };
}

/** Lengths in at most 32 bins of a round width. */
export function lengthHistogram(examples: readonly Example[]): LengthHistogram {
  const longest = examples.reduce((most, { tokens }) => Math.max(most, tokens.length), 1);
  let width = 1;
  for (let i = 0; longest > 32 * width; i++) width = ([1, 2, 5][i % 3] ?? 1) * 10 ** Math.floor(i / 3);
  const counts = new Array<number>(Math.ceil(longest / width)).fill(0);
  for (const { tokens } of examples) {
    const bin = Math.max(0, Math.ceil(tokens.length / width) - 1);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { width, counts };
}
