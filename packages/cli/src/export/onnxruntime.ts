import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { OnnxRuntime } from "@ft/export";

/** ONNX Runtime as it was found, or why it was not. */
export type FoundOnnxRuntime =
  | { readonly ort: OnnxRuntime; readonly version: string }
  | { readonly ort: undefined; readonly why: string };

const name = "onnxruntime-node";

/**
 * ONNX Runtime for Node, which is no dependency: a program of hundreds of megabytes that only a check needs. Looked for from
 * `folder`, where `npm install` puts it, and from the place of this program, for which it is an optional peer.
 */
export async function findOnnxRuntime(folder: string = process.cwd()): Promise<FoundOnnxRuntime> {
  for (const from of [join(folder, "package.json"), import.meta.url]) {
    const path = resolveFrom(from);
    if (path === undefined) continue;
    try {
      const loaded: OnnxRuntime & { readonly default?: OnnxRuntime } = await import(pathToFileURL(path).href);
      return { ort: loaded.default ?? loaded, version: await versionOf(path) };
    } catch (error) {
      const problem = error instanceof Error ? error.message.split("\n")[0] : String(error);
      return { ort: undefined, why: `${name} does not load (${problem}): npm i ${name}` };
    }
  }
  return { ort: undefined, why: `npm i ${name}` };
}

function resolveFrom(from: string): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

/** What the package.json above a file says. */
async function versionOf(path: string): Promise<string> {
  const manifest = await readFile(join(dirname(path), "..", "package.json"), "utf8").catch(() => "{}");
  return String(JSON.parse(manifest).version ?? "of an unknown version");
}
