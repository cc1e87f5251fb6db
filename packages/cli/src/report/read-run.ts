import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { FtError } from "@ft/tensor";
import { readJsonFile } from "@ft/weights";
import type { TrainConfig } from "../config/train-config.ts";
import { exists } from "../run/exists.ts";
import type { RunFacts } from "../train/facts.ts";
import type { RunRecord } from "../train/record.ts";
import { parseMetrics, type RunMetrics } from "./metrics.ts";

/** What run.json says: of a run of an earlier version, or edited by hand, anything may be missing. */
export type ReportedRecord = Partial<Omit<RunRecord, "config"> & RunFacts> & { readonly config: Partial<TrainConfig> };

/** What a report is made of. */
export interface ReportedRun {
  readonly name: string;
  readonly record: ReportedRecord;
  readonly metrics: RunMetrics;
  /** whether a process is training in the folder */
  readonly running: boolean;
}

/** Reads a run's folder. Code "missing" when there is none, or no run.json; "format" when that is not the record of a run. */
export async function readRun(dir: string): Promise<ReportedRun> {
  const file = join(dir, "run.json");
  if (!(await exists(file)))
    throw new FtError("missing", `${dir} is no folder of a run: it has no run.json`, "give the `out` of an `ft train`");
  const record = await readJsonFile(file);
  if (!isRecord(record))
    throw new FtError("format", `${file} is not the record of a run`, "restore it, or give the folder of another run");
  const path = join(dir, "metrics.jsonl");
  const text = (await exists(path)) ? await readText(path) : "";
  const running = await exists(join(dir, "run.lock"));
  return { name: basename(resolve(dir)), record, metrics: parseMetrics(text), running };
}

function isRecord(value: unknown): value is ReportedRecord {
  if (typeof value !== "object" || value === null || !("config" in value)) return false;
  return typeof value.config === "object" && value.config !== null;
}

async function readText(path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: unknown) => {
    throw new FtError("io", `${path} cannot be read`, "check its permissions", { cause });
  });
}
