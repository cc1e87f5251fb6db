import { randomBytes } from "node:crypto";
import { lstat, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { FtError } from "@ft/tensor";
import { syncFolder, writeFileAtomic } from "./atomic.ts";
import { errnoOf, ioError } from "./io-error.ts";
import { clip, JsonReader } from "./json-reader.ts";
import { sha256File } from "./sha256-file.ts";

const manifestName = "manifest.json";
const maxManifest = 16 * 2 ** 20;

/** What a committed folder holds: path inside it, with "/" on every system, to size and hash. */
export type Manifest = ReadonlyMap<string, { readonly bytes: number; readonly sha256: string }>;

/**
 * Makes a folder appear at once and complete, or not at all: `write` fills a temporary folder beside it, whose files are flushed and
 * listed with size and SHA-256 in `manifest.json`, before it is renamed into place and the parent is flushed. A folder that is there
 * already is refused (code "exists"). What dead processes have left of earlier attempts is removed.
 */
export async function commitFolder(dir: string, write: (temporary: string) => Promise<void>): Promise<Manifest> {
  const target = resolve(dir);
  const parent = dirname(target);
  const prefix = `.${basename(target)}.`;
  const temporary = join(parent, `${prefix}${hostname()}.${process.pid}.${randomBytes(6).toString("hex")}.partial`);
  try {
    await refuseExisting(target);
    await mkdir(parent, { recursive: true });
    await removeLeftovers(parent, prefix);
    await mkdir(temporary);
    await write(temporary);
    const manifest = await describe(temporary);
    await writeFileAtomic(join(temporary, manifestName), toJson(manifest));
    await refuseExisting(target);
    await rename(temporary, target);
    await syncFolder(parent);
    return manifest;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    const errno = errnoOf(error);
    if (errno === "ENOTEMPTY" || errno === "EEXIST") throw existsError(target);
    throw ioError(error, "write", target);
  }
}

/**
 * Checks a committed folder against its manifest, every size and every hash, and returns the manifest. Code "missing" when there is
 * no manifest: the folder was never committed. Code "format" when anything differs. Files that the manifest does not list are ignored.
 */
export async function verifyFolder(dir: string): Promise<Manifest> {
  const manifest = await readManifest(dir);
  for (const [name, { bytes, sha256 }] of manifest) {
    const path = join(dir, name);
    const found = await lstat(path).catch((error: unknown) => {
      throw ioError(error, "verify", path);
    });
    const broken = (what: string) =>
      new FtError("format", `${path} ${what}`, "the folder is damaged: use another one, such as an earlier checkpoint");
    if (!found.isFile()) throw broken("is not a regular file");
    if (found.size !== bytes) throw broken(`has ${found.size} bytes where ${bytes} were written`);
    if ((await sha256File(path)) !== sha256) throw broken("differs from what was written (SHA-256)");
  }
  return manifest;
}

async function readManifest(dir: string): Promise<Manifest> {
  const path = join(dir, manifestName);
  const broken = (what: string) =>
    new FtError("format", `${path}: ${what}`, "the folder is damaged: use another one, such as an earlier checkpoint");
  const text = await readFile(path).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT")
      throw new FtError(
        "missing",
        `${dir} has no ${manifestName}`,
        "it was never finished, or never written here: use another one",
      );
    throw ioError(error, "read", path);
  });
  if (text.length > maxManifest) throw broken(`${text.length} bytes are over the limit of ${maxManifest}`);
  const reader = new JsonReader(text, broken);
  const files = new Map<string, { bytes: number; sha256: string }>();
  let version: number | undefined;
  reader.object((key) => {
    if (key === "version") version = reader.integer();
    else if (key === "files")
      reader.object((name) => {
        if (!isInside(name)) throw reader.error(`the path "${clip(name)}" leads out of the folder`);
        let bytes: number | undefined;
        let sha256: string | undefined;
        reader.object((field) => {
          if (field === "bytes") bytes = reader.integer();
          else if (field === "sha256") sha256 = reader.string();
          else throw reader.error(`unknown field "${clip(field)}"`);
        });
        if (bytes === undefined || sha256 === undefined) throw reader.error(`"${clip(name)}" needs bytes and sha256`);
        files.set(name, { bytes, sha256 });
      });
    else throw reader.error(`unknown field "${clip(key)}"`);
  });
  reader.end();
  if (version !== 1) throw broken(`version ${version} where 1 is known`);
  return files;
}

function isInside(name: string): boolean {
  return name.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !/[\\:\0]/.test(part));
}

/** Flushes every file and folder below, and describes the files. Anything but files and folders is refused. */
async function describe(root: string, below = ""): Promise<Map<string, { bytes: number; sha256: string }>> {
  const files = new Map<string, { bytes: number; sha256: string }>();
  const entries = await readdir(join(root, below), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const name = below === "" ? entry.name : `${below}/${entry.name}`;
    const path = join(root, name);
    if (entry.isDirectory()) for (const [inner, facts] of await describe(root, name)) files.set(inner, facts);
    else if (entry.isFile()) files.set(name, await flushAndHash(path));
    else throw new FtError("input", `${path} is neither a file nor a folder`, "write plain files only");
  }
  await syncFolder(join(root, below));
  return files;
}

async function flushAndHash(path: string): Promise<{ bytes: number; sha256: string }> {
  const handle = await open(path, "r+");
  try {
    await handle.sync();
    const { size } = await handle.stat();
    return { bytes: size, sha256: await sha256File(path) };
  } finally {
    await handle.close();
  }
}

function toJson(manifest: Manifest): string {
  return `${JSON.stringify({ version: 1, files: Object.fromEntries(manifest) }, null, 2)}\n`;
}

/** Temporary folders carry host and process: one of a process that still runs belongs to a writer at work. */
async function removeLeftovers(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(prefix) || !name.endsWith(".partial")) continue;
    const parts = name.slice(prefix.length).split(".");
    const pid = Number(parts.at(-3));
    const host = parts.slice(0, -3).join(".");
    if (host === hostname() && Number.isInteger(pid) && pid > 0 && pid < 2 ** 31 && !isRunning(pid))
      await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== "ESRCH";
  }
}

async function refuseExisting(target: string): Promise<void> {
  const found = await lstat(target).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (found) throw existsError(target);
}

function existsError(target: string): FtError {
  return new FtError("exists", `${target} is there already`, "choose another place, or remove it first");
}
