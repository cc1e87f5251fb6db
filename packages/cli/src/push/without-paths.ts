import { open, readFile } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { FtError } from "@ft/tensor";
import { isRepoId, type UploadFile } from "@ft/weights";
import { exists } from "../run/exists.ts";
import { parseHubName } from "../run/hub-name.ts";
import { namesPaths, withoutFolder } from "./paths-in-text.ts";
import type { Pushable } from "./pushable.ts";

/** Any word may stand in a vocabulary, "/app/" among them, and none says where it was made. */
const vocabulary = /(^|\/)(tokenizer\.json|vocab\.json|vocab\.txt|merges\.txt)$/;
/** Larger files are not read for paths. */
const largestRead = 2 ** 26;
/** A file with a zero in so many bytes of its beginning is no text, by Git's rule. */
const beginning = 8000;

/** Fields that name the base, or the folder it was loaded from. */
const nameFields: Readonly<Record<string, string>> = {
  "config.json": "_name_or_path",
  "tokenizer_config.json": "name_or_path",
};

/** Files as they go up. */
export interface Shareable {
  readonly files: readonly UploadFile[];
  /** the base's id on the hub, where it is known */
  readonly base: string | undefined;
  /** paths of those that differ from the folder's */
  readonly edited: readonly string[];
}

/**
 * The chosen files without paths of this machine: where one names the base, its id stands instead, and in a card the repository's name
 * instead of the folder. Text files are looked at; weights, vocabularies and files over 64 MiB are not. Code "config" where an adapter's
 * base has no id, or any other path remains.
 */
export async function withoutPaths(
  what: Pushable,
  paths: readonly string[],
  { given, id, baseModel }: { readonly given: string; readonly id: string; readonly baseModel: string | undefined },
): Promise<Shareable> {
  const { folder, run, hashes } = what;
  const base = baseModel ?? (await baseOf(what));
  const edited: string[] = [];
  const leaking: string[] = [];
  const files: UploadFile[] = [];
  for (const path of paths) {
    const place = join(folder, path);
    const sha256 = hashes.get(path);
    const text = vocabulary.test(path) ? undefined : await textOf(place);
    const shown = text === undefined ? undefined : await shareable(path, text, what, { given, id, base });
    if (shown !== undefined && namesPaths(shown, folder, run?.config)) leaking.push(path);
    if (shown === text || shown === undefined)
      files.push({ path, content: place, ...(sha256 !== undefined && { sha256 }) });
    else {
      edited.push(path);
      files.push({ path, content: Buffer.from(shown) });
    }
  }
  if (leaking.length > 0)
    throw new FtError(
      "config",
      `${leaking.join(", ")} of ${folder} ${leaking.length === 1 ? "names" : "name"} paths of this machine`,
      "take them out, or leave the files here with --exclude",
    );
  return { files, base, edited };
}

/** The base that a folder names, or its run. Code "config" where an adapter names it by a path. */
async function baseOf({ folder, kind, run }: Pushable): Promise<string | undefined> {
  if (kind !== "adapter") return hubName(run?.config.model);
  const name = fieldOf(await readFile(join(folder, "adapter_config.json"), "utf8"), "base_model_name_or_path");
  if (name === undefined || !(await isLocal(name, run))) return name;
  throw new FtError(
    "config",
    `adapter_config.json names its base by a path of this machine (${name}), where nobody else finds it`,
    "name the base on the hub: --base-model org/name; the copy that goes up says so, the folder stays as it is",
  );
}

/** A name that could be an id is a path where such a path is, or the run says that its model was one. */
async function isLocal(name: string, run: Pushable["run"]): Promise<boolean> {
  return !isRepoId(name) || isAbsolute(String(run?.config.model ?? "")) || (await exists(name));
}

/** "org/name" of "org/name@commit" and "org/name/file.gguf@commit", as run.json has it. */
function hubName(model: unknown): string | undefined {
  return typeof model === "string" && !isAbsolute(model) ? parseHubName(model)?.id : undefined;
}

/** A text as others may see it. */
async function shareable(
  path: string,
  text: string,
  { folder, run }: Pushable,
  { given, id, base }: { readonly given: string; readonly id: string; readonly base: string | undefined },
): Promise<string> {
  if (path === "README.md") return withBase(withoutFolder(text, given, folder, id), base);
  if (path === "adapter_config.json")
    return base === undefined ? text : withField(text, "base_model_name_or_path", base);
  const field = nameFields[path];
  const name = field === undefined ? undefined : fieldOf(text, field);
  if (field === undefined || name === undefined || !(await isLocal(name, run))) return text;
  return withField(text, field, base ?? "");
}

/** A card whose front matter names the base, where that is known and it does not yet. */
function withBase(text: string, base: string | undefined): string {
  const [front] = /^---\n[\s\S]*?^---$/m.exec(text) ?? [];
  if (base === undefined || front === undefined || !text.startsWith(front) || /^base_model:/m.test(front)) return text;
  return text.replace("---\n", () => `---\nbase_model: ${base}\n`);
}

/** A text small enough to be read; undefined for what is none, such as weights. */
async function textOf(place: string): Promise<string | undefined> {
  await using file = await open(place);
  if ((await file.stat()).size > largestRead) return undefined;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(beginning), 0, beginning, 0);
  return buffer.subarray(0, bytesRead).includes(0) ? undefined : file.readFile("utf8");
}

function fieldPattern(name: string): RegExp {
  return new RegExp(`("${name}"\\s*:\\s*)("(?:[^"\\\\]|\\\\.)*"|null)`);
}

/** A text field of a JSON file; undefined where it is absent, null or empty. */
function fieldOf(text: string, name: string): string | undefined {
  const value: unknown = JSON.parse(fieldPattern(name).exec(text)?.[2] ?? "null");
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The file with another value there, and every other byte as it was. */
function withField(text: string, name: string, value: string): string {
  return text.replace(fieldPattern(name), (_, key: string) => `${key}${JSON.stringify(value)}`);
}
