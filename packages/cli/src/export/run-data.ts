import { type Conversation, loadRows, splitRows } from "@ft/data";
import { sha256File } from "@ft/weights";
import type { TrainConfig } from "../config/train-config.ts";
import { exists } from "../run/exists.ts";
import { runBeside } from "../run/run-beside.ts";

/** Rows of a file. */
export interface FileRows {
  readonly file: string;
  readonly conversations: readonly Conversation[];
}

/** The data that a run was given. */
export interface RunData {
  /** what it trained on, without what it held out; no rows where the file is not there */
  readonly train: { readonly file: string; readonly conversations: readonly Conversation[] | undefined } | undefined;
  /** what it held out; undefined where it held out nothing, or its rows are not there as they were */
  readonly heldOut: FileRows | undefined;
}

/** The data of the run that an adapter lies in; undefined where there is no run.json. */
export async function dataOfRun(adapter: string): Promise<RunData | undefined> {
  const run = await runBeside(adapter);
  if (run === undefined) return undefined;
  const { data: file, validation, validationFraction: fraction = 0, seed = 0 }: Partial<TrainConfig> = run.config;
  const known = Object.values(run.hashes);
  const unchanged = async (path: string): Promise<boolean> =>
    (await exists(path)) && known.includes(await sha256File(path));
  const all = file !== undefined && (await exists(file)) ? await loadRows(file) : undefined;
  const train = file === undefined ? undefined : { file, conversations: all };
  if (validation !== undefined) {
    if (!(await unchanged(validation))) return { train, heldOut: undefined };
    return { train, heldOut: { file: validation, conversations: await loadRows(validation) } };
  }
  if (file === undefined || all === undefined || all.length < 2 || fraction === 0) return { train, heldOut: undefined };
  // other rows would be split otherwise: some of those called held out were trained on
  if (!(await unchanged(file))) return { train, heldOut: undefined };
  const split = splitRows(all, { fraction, seed });
  return { train: { file, conversations: split.train }, heldOut: { file, conversations: split.heldOut } };
}
