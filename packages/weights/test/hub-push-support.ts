import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { UploadFile } from "../src/hub/upload-file.ts";
import type { UploadFilesOptions } from "../src/hub/upload-files.ts";
import { temporaryFolder } from "./fixtures.ts";
import { type Posted, type PushHub, writeToken } from "./hub-push-server.ts";
import { noise } from "./hub-support.ts";

export const id = "org/pushed";
export const weights: Buffer = noise(300_000, 1);

/** What is uploaded: small files, an empty one, and one content under two names. */
export const contents: Readonly<Record<string, Buffer>> = {
  "README.md": Buffer.from("# Pushed\n"),
  "config.json": Buffer.from('{"model_type":"llama"}\n'),
  "empty.safetensors": Buffer.alloc(0),
  "model.safetensors": weights,
  "more/copy.safetensors": weights,
  "more/other.safetensors": noise(120_000, 2),
};

/** The same in a folder. */
export async function contentsFolder(): Promise<string> {
  const folder = await temporaryFolder();
  for (const [path, bytes] of Object.entries(contents)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), bytes);
  }
  return folder;
}

export function filesIn(folder: string, paths: readonly string[] = Object.keys(contents)): UploadFile[] {
  return paths.map((path) => ({ path, content: join(folder, path) }));
}

/** Options for a server of this machine; failures are repeated at once. */
export function to(hub: PushHub, more: UploadFilesOptions = {}): UploadFilesOptions {
  return { endpoint: hub.endpoint, token: writeToken, offline: false, retryDelay: 1, ...more };
}

/**
 * What was posted, without what every client does in its own way: order of files and of keys, one content under two names asked for
 * twice, the parent that guards a commit.
 */
export function essence(posts: readonly Posted[]): unknown {
  const asked = posts.filter(({ path }) => path !== "/api/validate-yaml");
  return canonical(asked.map(({ path, type, body }) => ({ path, type, body })));
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) {
    const texts = value.map((one) => JSON.stringify(canonical(one)));
    return [...new Set(texts)].sort().map((text): unknown => JSON.parse(text));
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => key !== "parentCommit");
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, one]) => [key, canonical(one)]));
}
