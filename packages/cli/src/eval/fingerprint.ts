import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { readJsonFile } from "@ft/weights";
import { exists } from "../run/exists.ts";
import type { Fingerprint } from "./evaluation.ts";

const pieces = 64;
const pieceBytes = 2 ** 16;

/**
 * A digest of a file's content: all of it up to 4 MiB, of larger ones the size and 64 pieces spread over it, so that weights of
 * many gigabytes take no longer; training changes every one of them.
 */
export async function fileDigest(path: string): Promise<string> {
  const handle = await open(path, "r").catch((cause: unknown) => {
    throw new FtError("missing", `${path} cannot be read`, "check the path", { cause });
  });
  try {
    const { size } = await handle.stat();
    const hash = createHash("sha256").update(`${size}\n`);
    const whole = size <= pieces * pieceBytes;
    const buffer = Buffer.alloc(whole ? size : pieceBytes);
    for (let i = 0; i < (whole ? 1 : pieces); i++) {
      const at = whole ? 0 : Math.floor(((size - pieceBytes) * i) / (pieces - 1));
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest("hex").slice(0, 16);
  } finally {
    await handle.close();
  }
}

/** The same of a text. */
export function textDigest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

/** The same of a file, or of the files of a model's or an adapter's folder that say what it computes. */
export async function weightsDigest(path: string): Promise<string> {
  if (!(await stat(path)).isDirectory()) return fileDigest(path);
  const names = (await readdir(path)).filter((name) => /\.(safetensors|json|jinja)$/.test(name)).sort();
  const hash = createHash("sha256");
  for (const name of names) hash.update(`${name} ${await fileDigest(join(path, name))}\n`);
  return hash.digest("hex").slice(0, 16);
}

/**
 * Refuses to go on in a folder that holds an evaluation of something else. What only one of the two has, such as one more
 * adapter, is no contradiction.
 * Errors: "config", with what differs; "exists" for rows of which nothing says what they are, and for the folder of a model.
 */
export async function checkFingerprint(out: string, fingerprint: Fingerprint): Promise<void> {
  const file = join(out, "eval.json");
  if (!(await exists(file))) {
    const stray = (await exists(out)) ? (await readdir(out)).find((name) => rowFile.test(name)) : undefined;
    const model = ["config.json", "adapter_config.json", "manifest.json"].find((name) => existsSync(join(out, name)));
    if (model !== undefined)
      throw new FtError("exists", `${out} has ${model}: it is the folder of a model`, "choose another --out");
    if (stray === undefined) return;
    throw new FtError("exists", `${out} has ${stray} but no eval.json`, "choose another --out, or remove it");
  }
  const before: Record<string, unknown> = Object(Object(await readJsonFile(file)).fingerprint);
  const differing = Object.entries(fingerprint).filter(([key, value]) => key in before && before[key] !== value);
  if (differing.length === 0) return;
  const what = differing.map(([key, value]) => `${key} was ${String(before[key])}, is ${value}`);
  throw new FtError(
    "config",
    `${out} holds an evaluation of something else: ${what.join("; ")}`,
    "choose another --out, or remove it",
  );
}

const rowFile = /^(predictions|losses|general)\..*\.jsonl$/;
