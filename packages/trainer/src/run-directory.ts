import { lstat, mkdir, open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { FtError } from "@ft/tensor";
import { writeFileAtomic } from "@ft/weights";

/** How a run takes possession of its folder. */
export interface RunDirectoryOptions {
  /** continue the run that is there */
  readonly resume?: boolean;
  /** what run.json says: the resolved config, versions, hashes of data and base weights; plain JSON values */
  readonly record: { readonly [key: string]: unknown };
}

/** A folder that belongs to one run: run.json, metrics.jsonl, event files, checkpoints/, and what is saved at the end. */
export interface RunDirectory extends AsyncDisposable {
  readonly path: string;
  readonly checkpoints: string;
  /** Writes run.json where that was left for later, in a resumed run: once nothing of the run was found to contradict it. */
  record(): Promise<void>;
  /** Lets other processes continue the run. */
  close(): Promise<void>;
}

/** Names by which a folder is known to hold a run. */
const marks = ["run.json", "metrics.jsonl", "checkpoints"];

/**
 * Claims a folder for a run and writes run.json, of a resumed run by `record`. Code "exists" when it holds a run already and this is no resume, or
 * while another process is training in it; nothing is touched then. Code "io" when it cannot be written.
 */
export async function runDirectory(path: string, options: RunDirectoryOptions): Promise<RunDirectory> {
  const lock = join(path, "run.lock");
  let recorded = false;
  const record = async (): Promise<void> => {
    if (recorded) return;
    await writeFileAtomic(join(path, "run.json"), `${JSON.stringify(options.record, null, 2)}\n`);
    recorded = true;
  };
  try {
    const found = await firstMark(path);
    if (found !== undefined && !options.resume)
      throw new FtError("exists", `${path} holds a run already (${found})`, "resume it, or choose another folder");
    await mkdir(path, { recursive: true });
    await claim(lock);
    try {
      // a resume may yet be refused, and must leave what the run recorded
      if (found !== "run.json") await record();
    } catch (error) {
      await rm(lock, { force: true });
      throw error;
    }
  } catch (error) {
    if (FtError.is(error)) throw error;
    throw new FtError("io", `cannot write to ${path}`, "check the path, its permissions and the disk space", {
      cause: error,
    });
  }
  const close = (): Promise<void> => rm(lock, { force: true });
  return { path, checkpoints: join(path, "checkpoints"), record, close, [Symbol.asyncDispose]: close };
}

async function firstMark(path: string): Promise<string | undefined> {
  for (const name of marks) if (await lstat(join(path, name)).then(() => true, notThere)) return name;
  return undefined;
}

function notThere(error: unknown): false {
  if (codeOf(error) === "ENOENT") return false;
  throw error;
}

/** The lock names host and process; one whose process is gone was left by a crash and is taken over. */
async function claim(lock: string): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      const file = await open(lock, "wx");
      try {
        await file.writeFile(JSON.stringify({ host: hostname(), pid: process.pid }));
      } finally {
        await file.close();
      }
      return;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
      const owner = await ownerOf(lock);
      const left = owner !== undefined && owner.host === hostname() && !isRunning(owner.pid);
      if (!left || attempt > 0)
        throw new FtError(
          "exists",
          `another process is training in this folder (${lock}${owner ? `: process ${owner.pid} on ${owner.host}` : ""})`,
          "wait for it, or choose another folder; delete this file if you know that it has ended",
        );
      await rm(lock, { force: true });
    }
  }
}

async function ownerOf(lock: string): Promise<{ host: string; pid: number } | undefined> {
  try {
    const owner: unknown = JSON.parse(await readFile(lock, "utf8"));
    if (typeof owner !== "object" || owner === null || !("host" in owner) || !("pid" in owner)) return undefined;
    return typeof owner.host === "string" && typeof owner.pid === "number"
      ? { host: owner.host, pid: owner.pid }
      : undefined;
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) !== "ESRCH";
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
