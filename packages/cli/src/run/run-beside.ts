import { resolve } from "node:path";
import { readJsonFile } from "@ft/weights";
import { exists } from "./exists.ts";

/** A run, as what it saved finds it. */
export interface RunBeside {
  readonly folder: string;
  /** what run.json says, if it says it: nothing of it is checked */
  readonly config: Readonly<Record<string, unknown>>;
  readonly hashes: Readonly<Record<string, unknown>>;
}

/** The run that an adapter or a model lies in; undefined where it lies in none. */
export async function runBeside(saved: string): Promise<RunBeside | undefined> {
  const folder = resolve(saved, "..");
  const file = resolve(folder, "run.json");
  if (!(await exists(file))) return undefined;
  const { config, hashes } = Object(await readJsonFile(file));
  return { folder, config: Object(config), hashes: Object(hashes) };
}
