import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { readJsonFile } from "@ft/weights";

/** What stands beside a model's weights in a Hugging Face folder. */
export interface Companions {
  /** config.json */
  readonly config: Readonly<Record<string, unknown>>;
  /** tokenizer, template and generation config, by file name */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Files that belong to a model beside its weights and config.json; taken along where they exist. */
export const companionFiles: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "tokenizer.model",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "generation_config.json",
  "chat_template.jinja",
];

/** Reads what stands beside the weights of a Hugging Face folder. Errors: "missing" (config.json), "format", "io". */
export async function readCompanions(folder: string): Promise<Companions> {
  const file = join(folder, "config.json");
  const config = await readJsonFile(file);
  if (typeof config !== "object" || config === null || Array.isArray(config))
    throw new FtError("format", `[model] ${file} is not an object`, "expected a JSON object");
  const files = new Map<string, Uint8Array>();
  for (const name of companionFiles) {
    const bytes = await readIfPresent(join(folder, name));
    if (bytes) files.set(name, bytes);
  }
  return { config: { ...config }, files };
}

async function readIfPresent(path: string): Promise<Uint8Array | undefined> {
  return readFile(path).catch((cause: unknown) => {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw new FtError("io", `[model] ${path} cannot be read`, "check the disk and its permissions", { cause });
  });
}
