import { readFile } from "node:fs/promises";
import type { Schedule } from "@ft/optim";
import { FtError } from "@ft/tensor";
import type { RunState } from "../run-state.ts";

/** What state.json holds: where the run stands, and what it was started with. */
export interface CheckpointMeta {
  readonly version: 1;
  readonly state: RunState;
  readonly schedule: { readonly name: string; readonly settings: Schedule["settings"] };
  /** what a resume must find unchanged */
  readonly identity: { readonly [name: string]: string | number | boolean };
}

/** Reads state.json. Code "format", naming the field, when it is not what this package writes. */
export async function readMeta(path: string): Promise<CheckpointMeta> {
  const broken = (what: string): FtError =>
    new FtError("format", `${path}: ${what}`, "use an earlier checkpoint, or start anew");
  let meta: unknown;
  try {
    meta = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new FtError("format", `${path} cannot be read as JSON`, "use an earlier checkpoint, or start anew", {
      cause: error,
    });
  }
  if (!isRecord(meta)) throw broken("not an object");
  if (meta.version !== 1) throw broken(`version ${JSON.stringify(meta.version)} where 1 is known`);
  const wrong = [
    !isState(meta.state) && "state",
    !isSchedule(meta.schedule) && "schedule",
    !isRecord(meta.identity) && "identity",
  ].find((name) => name !== false);
  if (wrong !== undefined) throw broken(`"${wrong}" is missing or malformed`);
  if (isMeta(meta)) return meta;
  throw broken("malformed");
}

/** What an identity means that does not say it. */
const whenAbsent: ReadonlyMap<string, string> = new Map([["dtype", "f32"]]);

/** Throws code "config" when a resumed run differs in something that must not change; returns what changed and may. */
export function compareMeta(path: string, saved: CheckpointMeta, now: CheckpointMeta): string[] {
  const of = ({ identity }: CheckpointMeta, name: string) => identity[name] ?? whenAbsent.get(name) ?? "unset";
  for (const name of new Set([...Object.keys(saved.identity), ...Object.keys(now.identity)]))
    if (of(saved, name) !== of(now, name))
      throw new FtError(
        "config",
        `${path} was made with ${name} ${of(saved, name)}, this run has ${of(now, name)}`,
        `resume with the same ${name}, or start a new run in another folder`,
      );
  const show = (schedule: CheckpointMeta["schedule"]): string =>
    `${schedule.name} (${Object.entries(schedule.settings)
      .map(([key, value]) => `${key} ${value}`)
      .sort()
      .join(", ")})`;
  const before = show(saved.schedule);
  const after = show(now.schedule);
  return before === after ? [] : [`the schedule changed from ${before} to ${after}: the run goes on under the new one`];
}

function isMeta(x: { readonly [key: string]: unknown }): x is { [K in keyof CheckpointMeta]: CheckpointMeta[K] } {
  return x.version === 1 && isState(x.state) && isSchedule(x.schedule) && isRecord(x.identity);
}

function isRecord(x: unknown): x is { readonly [key: string]: unknown } {
  return typeof x === "object" && x !== null && !Array.isArray(x);
}

function isCount(x: unknown): x is number {
  return Number.isSafeInteger(x) && Number(x) >= 0;
}

function isState(x: unknown): x is RunState {
  if (!isRecord(x) || !isCount(x.step) || !isCount(x.microBatches) || !isCount(x.stale)) return false;
  const { best, evaluatedAt, improvedTo, lossScale } = x;
  return (
    (best === undefined || (isRecord(best) && isCount(best.step) && typeof best.loss === "number")) &&
    (evaluatedAt === undefined || isCount(evaluatedAt)) &&
    (lossScale === undefined || isLossScale(lossScale)) &&
    (improvedTo === undefined || typeof improvedTo === "number")
  );
}

function isLossScale(x: unknown): boolean {
  return isRecord(x) && typeof x.scale === "number" && x.scale > 0 && isCount(x.good) && isCount(x.skipped);
}

function isSchedule(x: unknown): x is CheckpointMeta["schedule"] {
  return isRecord(x) && typeof x.name === "string" && isRecord(x.settings);
}
