import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";

/** A checkpoint by its folder's name; whether it is whole is another question. */
export interface CheckpointFolder {
  readonly step: number;
  readonly path: string;
}

const pattern = /^step-(\d{6,})$/;

/** The folder of a step's checkpoint: step-000100. */
export function checkpointPath(dir: string, step: number): string {
  return join(dir, `step-${String(step).padStart(6, "0")}`);
}

/** The checkpoints in a folder, newest first; none when the folder does not exist. */
export async function listCheckpoints(dir: string): Promise<CheckpointFolder[]> {
  const names = await readdir(dir).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw new FtError("io", `cannot list ${dir}`, "check the path and its permissions", { cause: error });
  });
  const found = names.flatMap((name) => {
    const step = pattern.exec(name)?.[1];
    return step === undefined ? [] : [{ step: Number(step), path: join(dir, name) }];
  });
  return found.sort((a, b) => b.step - a.step);
}

/** Removes a checkpoint. It loses its name first, so that a crash leaves no half of one that could be taken for whole. */
export async function removeCheckpoint(path: string): Promise<void> {
  const leaving = `${path}.removed`;
  await rm(leaving, { recursive: true, force: true });
  await rename(path, leaving);
  await rm(leaving, { recursive: true, force: true });
}

/** Removes all but the `keep` newest and the best. */
export async function rotate(dir: string, keep: number, best: number | undefined): Promise<void> {
  const found = await listCheckpoints(dir);
  for (const { step, path } of found.slice(keep)) if (step !== best) await removeCheckpoint(path);
}
