import { readFile, realpath, stat } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { FtError } from "@ft/tensor";
import { type DataFile, openDataFile } from "./data-file.ts";
import { ioError } from "./io-error.ts";
import { clip, JsonReader } from "./json-reader.ts";
import { readSafetensorsHeader } from "./safetensors-header.ts";
import { type StoredTensor, type WeightSource, weightSource } from "./source.ts";

const single = "model.safetensors";
const index = "model.safetensors.index.json";
const maxIndex = 100_000_000;
const maxShards = 10_000;

/**
 * Opens a `.safetensors` file, an `.index.json` beside its shards, or a folder with `model.safetensors` or
 * `model.safetensors.index.json` (the single file wins, as in transformers). Every header is checked before anything is read.
 */
export async function openSafetensors(path: string): Promise<WeightSource> {
  const found = await stat(path).catch((error: unknown) => {
    throw ioError(error, "open", path);
  });
  if (!found.isDirectory()) return path.endsWith(".index.json") ? openSharded(path) : openFiles(path, [path]);
  const file = join(path, single);
  if (await exists(file)) return openFiles(file, [await insideFolder(path, single)]);
  if (await exists(join(path, index))) return openSharded(join(path, index));
  throw new FtError(
    "missing",
    `${path} holds neither ${single} nor ${index}`,
    "give a folder with one of them, or the file itself",
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function openSharded(indexPath: string): Promise<WeightSource> {
  const shardOf = await readIndex(indexPath);
  const folder = dirname(indexPath);
  const names = [...new Set(shardOf.values())].sort();
  const paths: string[] = [];
  for (const name of names) paths.push(await insideFolder(folder, name));
  return openFiles(indexPath, paths, (tensor, file) => shardOf.get(tensor) === names[file], shardOf.keys());
}

/** The weight map of an index: tensor name to shard file name. */
async function readIndex(path: string): Promise<Map<string, string>> {
  const fail = (what: string) =>
    new FtError("format", `${path}: ${what}`, "fetch the index again, together with its shards");
  const { size } = await stat(path);
  if (size > maxIndex) throw fail(`${size} bytes are over the limit of ${maxIndex} for an index`);
  const bytes = await readFile(path).catch((error: unknown) => {
    throw ioError(error, "read", path);
  });
  const reader = new JsonReader(bytes, fail);
  const shardOf = new Map<string, string>();
  const shards = new Set<string>();
  reader.object((key) => {
    if (key !== "weight_map") return reader.skip();
    reader.object((tensor) => {
      const shard = reader.string();
      shardOf.set(tensor, shard);
      if (shards.size >= maxShards && !shards.has(shard)) throw reader.error(`more than ${maxShards} shards`);
      shards.add(shard);
    });
  });
  reader.end();
  if (shardOf.size === 0) throw fail("weight_map is absent or empty");
  return shardOf;
}

/**
 * The path of a file named by a model folder. A name is one path component, and a link must not lead out of the folder; only the
 * layout of the Hugging Face cache, `snapshots/<revision>/<name>` linked to `blobs/<hash>`, is followed.
 */
async function insideFolder(folder: string, name: string): Promise<string> {
  const refuse = (why: string) =>
    new FtError(
      "format",
      `${folder} names the weight file "${clip(name)}", ${why}`,
      "fetch the model again from a source you trust",
    );
  if (!/^[^/\\:\0]+\.safetensors$/.test(name) || name.startsWith("."))
    throw refuse("which is not a plain *.safetensors name");
  const path = join(folder, name);
  try {
    const home = await realpath(folder);
    const target = await realpath(path);
    const revisions = dirname(home);
    const blobs = basename(revisions) === "snapshots" ? join(dirname(revisions), "blobs") : undefined;
    const inside = target.startsWith(home + sep) || (blobs !== undefined && dirname(target) === blobs);
    if (!inside) throw refuse("a link that leads out of the folder");
  } catch (error) {
    throw ioError(error, "open", path);
  }
  return path;
}

async function openFiles(
  path: string,
  paths: readonly string[],
  wanted: (tensor: string, file: number) => boolean = () => true,
  promised: Iterable<string> = [],
): Promise<WeightSource> {
  const files: DataFile[] = [];
  try {
    const stored = new Map<string, StoredTensor>();
    const metadata = new Map<string, unknown>();
    for (const [i, each] of paths.entries()) {
      const file = await openDataFile(each);
      files.push(file);
      const header = await readSafetensorsHeader(file);
      for (const [key, value] of header.metadata) metadata.set(key, value);
      for (const [name, tensor] of header.tensors) if (wanted(name, i)) stored.set(name, tensor);
    }
    for (const name of promised)
      if (!stored.has(name))
        throw new FtError(
          "format",
          `${path} places "${clip(name)}" in a shard that does not hold it`,
          "fetch the shards again",
        );
    return weightSource("safetensors", path, metadata, stored, files);
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
}
