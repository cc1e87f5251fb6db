import { join, resolve } from "node:path";
import { FtError } from "@ft/tensor";
import { cachedSnapshot, readJsonFile, type Snapshot } from "@ft/weights";
import type { Io } from "../io.ts";
import { bytes, downloadShown } from "./download.ts";
import { exists } from "./exists.ts";
import { type HubName, parseHubName } from "./hub-name.ts";
import { unusedFiles, usedFiles } from "./hub-patterns.ts";

/** What has to be there of a model. */
export type Need = keyof typeof usedFiles;

/** Where a model lies, and what to call it. */
export interface ModelPlace {
  /** folder or .gguf file */
  readonly path: string;
  /** what an adapter says its base is: the id on the hub, or the path as given */
  readonly base: string;
  /** the id, where it is a model of the hub */
  readonly hubId?: string;
  /** what finds the same weights again: the name at its commit, or the absolute path */
  readonly exact: string;
}

/**
 * Finds the model that a flag or a configuration names. What exists at that path comes first, then what the cache has of the hub's model of that name;
 * what is neither is downloaded. `need` is what has to be there of it.
 */
export async function resolveModel(given: string, need: Need, io: Io, signal: AbortSignal): Promise<ModelPlace> {
  const name = (await exists(given)) ? undefined : parseHubName(given);
  if (name === undefined) {
    if (await isAdapter(given))
      throw new FtError(
        "input",
        `${given} is an adapter, not a model`,
        "name its base with --model, and it with --adapter; or merge them: `ft merge`",
      );
    return { path: given, base: given, exact: resolve(given) };
  }
  const { id, file, revision } = name;
  const cached = await cachedSnapshot(id, { revision });
  if (cached !== undefined && (await serves(cached, name, need))) return placeOf(cached, name);
  if (file !== undefined && need === "config")
    throw new FtError(
      "missing",
      `${given} is not here, and a .gguf file describes itself only as a whole`,
      `\`ft pull ${given}\` fetches it; or name the repository that it was made from`,
    );
  const patterns =
    file === undefined
      ? { allowPatterns: usedFiles[need], ignorePatterns: unusedFiles }
      : { allowPatterns: [literally(file)] };
  io.note(`${given} is not here yet: from the hub`);
  const got = await downloadShown(id, { revision, ...patterns }, io, signal).catch((error: unknown) => {
    throw withPath(error, given);
  });
  if (!(await serves(got, name, need)))
    throw new FtError(
      "missing",
      `${id} has no ${{ model: "config.json and safetensors weights", tokenizer: "tokenizer.json", config: "config.json" }[need]}`,
      `if it has .gguf files, name one: ${id}/FILE.gguf; \`ft pull ${id} --include '*'\` fetches and lists everything`,
    );
  io.note(`${bytes(got.received)} downloaded to ${got.folder}`);
  return placeOf(got, name);
}

/** An adapter's folder, or that of a run that saved one. */
async function isAdapter(path: string): Promise<boolean> {
  const has = (name: string): Promise<boolean> => exists(join(path, name));
  if ((await has("config.json")) || (await has("model"))) return false;
  return (await has("adapter_config.json")) || (await has("adapter/adapter_config.json"));
}

function placeOf({ folder, commit }: Snapshot, { id, file }: HubName): ModelPlace {
  const path = file === undefined ? folder : join(folder, file);
  return { path, base: id, hubId: id, exact: `${id}${file === undefined ? "" : `/${file}`}@${commit}` };
}

/** Whether a snapshot has all files that loading needs; it may hold others only. */
async function serves({ folder, files }: Snapshot, { file }: HubName, need: Need): Promise<boolean> {
  const has = (path: string): boolean => files.some((one) => one.path === path);
  if (file !== undefined) return has(file);
  if (need === "config") return has("config.json");
  if (!has("tokenizer.json") || need === "tokenizer") return has("tokenizer.json");
  if (!has("config.json")) return false;
  if (has("model.safetensors")) return true;
  if (!has("model.safetensors.index.json")) return false;
  const index = await readJsonFile(join(folder, "model.safetensors.index.json"));
  const map = typeof index === "object" && index !== null && "weight_map" in index ? index.weight_map : undefined;
  // an index that is none is for the loader to say
  return typeof map !== "object" || map === null || Object.values(map).every((shard) => has(String(shard)));
}

/** A pattern that matches this path alone. */
function literally(path: string): string {
  return path.replace(/[*?[]/g, "[$&]");
}

/** A name that is not on the hub may have been meant as a path. */
function withPath(error: unknown, given: string): unknown {
  if (!FtError.is(error) || error.code === "interrupted") return error;
  const message = error.message.endsWith(`; ${error.hint}`)
    ? error.message.slice(0, -error.hint.length - 2)
    : error.message;
  return new FtError(error.code, `there is no ${given} here, and from the hub: ${message}`, error.hint, {
    cause: error,
  });
}
