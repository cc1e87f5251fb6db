import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { readJsonFile } from "@ft/weights";
import type { Evaluation } from "../eval/evaluation.ts";
import { exists } from "../run/exists.ts";

/**
 * Reads the eval.json of an evaluation's folder. Without a folder, that of the run (in it, or in its `eval/`), where there is
 * one. Code "missing" when a folder that was named has none, "format" when it is not an evaluation.
 */
export async function readEvaluation(run: string, folder: string | undefined): Promise<Evaluation | undefined> {
  if (folder !== undefined) {
    const file = folder.endsWith(".json") ? folder : join(folder, "eval.json");
    if (await exists(file)) return evaluationIn(file);
    throw new FtError("missing", `${folder} has no eval.json`, "give the --out of an `ft eval`");
  }
  for (const file of [join(run, "eval.json"), join(run, "eval", "eval.json")])
    if (await exists(file)) return evaluationIn(file);
  return undefined;
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
