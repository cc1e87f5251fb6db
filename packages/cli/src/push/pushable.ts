import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { openGguf, openSafetensors, openWeights, verifyFolder } from "@ft/weights";
import { savedIn } from "../run/open-model.ts";
import { type RunBeside, runBeside } from "../run/run-beside.ts";

/** A folder that can be pushed. */
export interface Pushable {
  /** as given, or what the run in it saved */
  readonly folder: string;
  readonly kind: "adapter" | "model" | "gguf";
  /** names in the folder itself */
  readonly names: readonly string[];
  /** the run that it lies in, with what its run.json says of its configuration */
  readonly run: RunBeside | undefined;
  /** SHA-256 by path, where the folder has a manifest */
  readonly hashes: ReadonlyMap<string, string>;
}

/** Finds what a folder holds, and checks that it is whole. Codes "missing", "format", "input". */
export async function pushable(given: string): Promise<Pushable> {
  const found = await stat(given).catch(() => undefined);
  if (found === undefined) throw new FtError("missing", `there is no folder ${given}`, "check the path");
  if (!found.isDirectory()) throw new FtError("input", `${given} is not a folder`, "give the folder that it lies in");
  const adapter = await savedIn(given, "adapter");
  const folder = adapter === given ? await savedIn(given, "model") : adapter;
  const names = await readdir(folder);
  const kind = kindOf(names);
  if (kind === undefined) {
    const isRun = names.includes("run.json");
    throw new FtError(
      "missing",
      isRun
        ? `the run ${given} has saved nothing yet: it has neither adapter/ nor model/`
        : `${given} holds nothing to push: no adapter (adapter_config.json and adapter_model.safetensors), no model (config.json and .safetensors or .onnx weights), no .gguf file`,
      isRun
        ? "finish it with `ft train --resume`"
        : "give the folder of a run, an adapter, a merged model or an export",
    );
  }
  const hashes = new Map<string, string>();
  if (names.includes("manifest.json"))
    for (const [path, { sha256 }] of await verifyFolder(folder)) hashes.set(path, sha256);
  await checkWeights(folder, kind, names);
  return { folder, kind, names, run: await runBeside(folder), hashes };
}

/** Whether files that go up hold what the folder was recognised by. Code "missing" where they do not. */
export function checkWeightsGo({ folder, kind, names }: Pushable, paths: readonly string[]): void {
  const endings = { adapter: ["adapter_model.safetensors"], model: [".safetensors", ".onnx"], gguf: [".gguf"] }[kind];
  const isWeights = (path: string): boolean => endings.some((ending) => path.endsWith(ending));
  if (paths.some(isWeights)) return;
  throw new FtError(
    "missing",
    `no weights of ${folder} would go up: hidden files and what a run keeps for itself stay here (${names.filter(isWeights).join(", ") || "onnx/"})`,
    "rename them, or name every file that is to go up with --include",
  );
}

function kindOf(names: readonly string[]): Pushable["kind"] | undefined {
  const ends = (ending: string): boolean => names.some((name) => name.endsWith(ending));
  if (names.includes("adapter_config.json") && names.includes("adapter_model.safetensors")) return "adapter";
  const weights = ends(".safetensors") || ends(".onnx") || names.includes("onnx");
  if (names.includes("config.json") && weights) return "model";
  return ends(".gguf") ? "gguf" : undefined;
}

/** Opens the weights, which reads their headers and compares them with the files' sizes; finds a missing shard, too. */
async function checkWeights(folder: string, kind: Pushable["kind"], names: readonly string[]): Promise<void> {
  const safetensors = names.some((name) => name.endsWith(".safetensors"));
  if (kind === "adapter") await (await openSafetensors(join(folder, "adapter_model.safetensors"))).close();
  else if (kind === "model" && safetensors) await (await openWeights(folder)).close();
  for (const name of names) if (name.endsWith(".gguf")) await (await openGguf(join(folder, name))).close();
}
