import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { sizeAt } from "./cache.ts";

const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);

/** What has arrived of a blob, at a path that no other download writes to. */
export interface Part {
  readonly path: string;
  /** bytes that an earlier download left */
  readonly size: number;
}

/**
 * Takes over what earlier downloads left of a blob, or begins a new file beside its place. What is left for resuming is called
 * `<etag>.incomplete`, as huggingface_hub called it. Taking it is a rename, which one process at most succeeds in, to
 * `<etag>.<host>-<pid>-<random>.incomplete`; what a dead process of this machine left under such a name is taken too. So two
 * downloads of one blob never write to one file: the second one begins anew, and either may finish first.
 */
export async function takePart(blob: string, limit: number): Promise<Part> {
  const folder = dirname(blob);
  await mkdir(folder, { recursive: true });
  const path = `${blob}.${host}-${process.pid}-${randomBytes(4).toString("hex")}.incomplete`;
  let size = 0;
  for (const left of await leftovers(blob)) {
    if (size > 0) {
      await rm(left, { force: true }); // less of the same
      continue;
    }
    try {
      await rename(left, path);
      size = (await stat(path)).size;
    } catch {
      continue; // another process was faster
    }
    if (size > limit) size = 0;
  }
  if (size === 0) await (await open(path, "w")).close();
  return { path, size };
}

/** Leaves a part for the next download, unless that has more already. */
export async function leavePart(path: string, blob: string): Promise<void> {
  const rest = `${blob}.incomplete`;
  const size = (await sizeAt(path)) ?? 0;
  if (size === 0 || size <= ((await sizeAt(rest)) ?? 0)) await rm(path, { force: true });
  else await rename(path, rest);
}

/** Bytes that a download of the blob would start with. */
export async function partSize(blob: string, limit: number): Promise<number> {
  const sizes = await Promise.all((await leftovers(blob)).map(sizeAt));
  return sizes.find((size) => size !== undefined && size <= limit) ?? 0;
}

/** Parts that nobody writes to, the largest first. */
async function leftovers(blob: string): Promise<string[]> {
  const [folder, etag] = [dirname(blob), basename(blob)];
  const names = await readdir(folder).catch((): string[] => []);
  const free = names.filter((name) => {
    if (!name.startsWith(`${etag}.`) || !name.endsWith(".incomplete")) return false;
    const owner = name.slice(etag.length + 1, -".incomplete".length);
    if (owner === "") return true;
    const [at, pid] = owner.split("-");
    return at === host && pid !== undefined && isDead(Number(pid));
  });
  const sized = await Promise.all(free.map(async (name) => ({ name, size: (await sizeAt(join(folder, name))) ?? 0 })));
  return sized.sort((a, b) => b.size - a.size).map(({ name }) => join(folder, name));
}

function isDead(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ESRCH";
  }
}
