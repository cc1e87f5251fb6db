import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { readJsonFile } from "@ft/weights";
import type { Evaluation } from "../eval/evaluation.ts";
import { weightsDigest } from "../eval/fingerprint.ts";
import { exists } from "../run/exists.ts";

/**
 * Reads the eval.json of an evaluation's folder. Without a folder, that of the run (in it, or in its `eval/`), where there is
 * one of what the run saved. Code "missing" when a folder that was named has none, "format" when it is not an evaluation.
 */
export async function readEvaluation(run: string, folder: string | undefined): Promise<Evaluation | undefined> {
  if (folder !== undefined) {
    const file = folder.endsWith(".json") ? folder : join(folder, "eval.json");
    if (await exists(file)) return evaluationIn(file);
    throw new FtError("missing", `${folder} has no eval.json`, "give the --out of an `ft eval`");
  }
  for (const file of [join(run, "eval.json"), join(run, "eval", "eval.json")])
    if (await exists(file)) {
      const found = await evaluationIn(file);
      return (await isOf(run, found)) ? found : undefined;
    }
  return undefined;
}

/** Whether it measured what the run saved: an evaluation before the run went on, or of something else, says nothing of it. */
async function isOf(run: string, { fingerprint }: Evaluation): Promise<boolean> {
  let saves = false;
  for (const name of ["adapter", "model"]) {
    const saved = join(run, name);
    if (!(await exists(saved))) continue;
    saves = true;
    const digest = await weightsDigest(saved);
    if (Object.values(fingerprint).some((value) => String(value).endsWith(digest))) return true;
  }
  return !saves;
}

async function evaluationIn(file: string): Promise<Evaluation> {
  const value = await readJsonFile(file);
  if (isEvaluation(value)) return value;
  throw new FtError("format", `${file} is not an evaluation of version 1`, "make it again with `ft eval`");
}

function isEvaluation(value: unknown): value is Evaluation {
  if (typeof value !== "object" || value === null) return false;
  const lists = ["subjects", "measures", "samples"].map(
    (key) => Object.entries(value).find(([name]) => name === key)?.[1],
  );
  return "version" in value && value.version === 1 && lists.every((list) => Array.isArray(list)) && "worst" in value;
}
