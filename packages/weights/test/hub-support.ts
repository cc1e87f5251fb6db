import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { randomFrom } from "@ft/testing";
import type { SnapshotDownloadOptions } from "../src/hub/snapshot-download.ts";
import type { HubModel, HubServer } from "./hub-server.ts";

export const commit = "0123456789abcdef0123456789abcdef01234567";

/** Bytes that look like weights to whoever counts and hashes them. */
export function noise(length: number, seed = 1): Buffer {
  const random = randomFrom(seed);
  return Buffer.from(Uint8Array.from({ length }, () => random.int(0, 255)));
}

/** A model as the hub has them: settings, a tokenizer, two shards, and files that nobody here reads. */
export function someModel(changes: Partial<HubModel> = {}): HubModel {
  return {
    id: "some-org/Some.Model-1b",
    commit,
    files: {
      ".gitattributes": "*.safetensors filter=lfs\n",
      "README.md": "# Some model\n",
      "config.json": '{"model_type":"llama"}\n',
      "empty.txt": "",
      "model-00001-of-00002.safetensors": noise(300_000, 1),
      "model-00002-of-00002.safetensors": noise(100_000, 2),
      "model.safetensors.index.json": '{"weight_map":{}}\n',
      "onnx/model-00002-of-00002.safetensors": noise(100_000, 2), // the same content under another name
      "pytorch_model.bin": noise(1000, 3),
      "tokenizer.json": '{"model":{"type":"BPE"}}\n',
    },
    ...changes,
  };
}

/** Options for a server of this machine, whatever the environment says; failures are repeated at once. */
export function local(hub: HubServer, cacheDir: string, more: SnapshotDownloadOptions = {}): SnapshotDownloadOptions {
  return { endpoint: hub.endpoint, cacheDir, token: false, offline: false, retryDelay: 1, ...more };
}

/** Everything below a folder: "path -> target" for links, "path = content length" for files, in order. */
export async function layout(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const lines = entries
    .filter((entry) => !entry.isDirectory())
    .map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const shown = path.slice(folder.length + 1);
      if (entry.isSymbolicLink()) return `${shown} -> ${await readlink(path)}`;
      const bytes = await readFile(path);
      return `${shown} = ${shown.includes("refs/") ? bytes.toString() : bytes.length}`;
    });
  return (await Promise.all(lines)).sort();
}
