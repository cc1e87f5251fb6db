import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, link, mkdir, readFile, rename, rm, stat, statfs, symlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { FtError } from "@ft/tensor";
import { writeFileAtomic } from "../atomic.ts";
import { errnoOf, ioError } from "../io-error.ts";
import { type HubRepo, isCommit } from "./repo.ts";

/**
 * Where a model lies in the cache, in the layout of huggingface_hub:
 * models--org--name/{refs/<revision>, blobs/<etag>, snapshots/<commit>/<path>}.
 */
export interface RepoCache {
  readonly folder: string;
  blob(etag: string): string;
  snapshot(commit: string): string;
  file(commit: string, path: string): string;
  /** file that holds the commit of a branch or tag */
  ref(revision: string): string;
}

export function repoCache(cacheDir: string, id: string): RepoCache {
  const folder = join(cacheDir, `models--${id.replace("/", "--")}`);
  return {
    folder,
    blob: (etag) => join(folder, "blobs", etag),
    snapshot: (commit) => join(folder, "snapshots", commit),
    file: (commit, path) => join(folder, "snapshots", commit, ...path.split("/")),
    ref: (revision) => join(folder, "refs", ...revision.split("/")),
  };
}

/** The commit that a revision stood for when it was last downloaded; undefined when it never was. */
export async function cachedCommit(cache: RepoCache, { revision }: HubRepo): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const text = await readFile(cache.ref(revision), "utf8").catch(() => "");
  const commit = text.trim();
  return isCommit(commit) ? commit : undefined;
}

/** Notes which commit a revision stands for. */
export async function writeRef(cache: RepoCache, repo: HubRepo, commit: string): Promise<void> {
  if (isCommit(repo.revision) || (await cachedCommit(cache, repo)) === commit) return;
  await writeFileAtomic(cache.ref(repo.revision), commit);
}

/** Size of the file at a path, links followed; undefined when there is none. */
export async function sizeAt(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? found.size : undefined;
}

/** How a snapshot's file can refer to its blob, best first. */
export type LinkKind = "symlink" | "hard link" | "copy";

/**
 * Puts a blob into a snapshot: a relative link, which survives moving the cache; where the file system or Windows' policy has none,
 * a second name for the same bytes; where that fails too, a copy. Whatever was at the place is replaced.
 */
export async function linkBlob(
  blob: string,
  place: string,
  kinds: readonly LinkKind[] = ["symlink", "hard link", "copy"],
): Promise<void> {
  const temporary = join(dirname(blob), `.${randomBytes(6).toString("hex")}.link`);
  try {
    await mkdir(dirname(place), { recursive: true });
    for (const [i, kind] of kinds.entries()) {
      try {
        if (kind === "symlink") await symlink(relative(dirname(place), blob), temporary, "file");
        else if (kind === "hard link") await link(blob, temporary);
        else await copyFile(blob, temporary, constants.COPYFILE_FICLONE);
        break;
      } catch (error) {
        const errno = errnoOf(error);
        if (i === kinds.length - 1 || errno === "ENOSPC" || errno === "ENOENT") throw error;
        await rm(temporary, { force: true });
      }
    }
    await rename(temporary, place);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw ioError(error, "write", place);
  }
}

/** Refuses a download that cannot fit, before it begins. Code "io". `bytes` is what is still to come. */
export async function checkSpace(cacheDir: string, bytes: number, what: string): Promise<void> {
  if (bytes === 0) return;
  let at = cacheDir;
  while (!(await stat(at).catch(() => undefined)) && dirname(at) !== at) at = dirname(at);
  const disk = await statfs(at).catch(() => undefined);
  // network file systems may say 0 of 0
  if (disk === undefined || disk.blocks === 0) return;
  const free = disk.bavail * disk.bsize;
  if (free < bytes) throw noSpace(`${what} needs ${showBytes(bytes)} more and ${showBytes(free)} are free`, cacheDir);
}

export function noSpace(what: string, cacheDir: string, cause?: unknown): FtError {
  return new FtError(
    "io",
    `${what} in ${cacheDir}`,
    "free some space, or set HF_HUB_CACHE to a folder on a larger disk",
    cause === undefined ? {} : { cause },
  );
}

/** 1234567 as "1.2 MB"; powers of 1000, as the hub shows sizes. */
export function showBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const power = bytes < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
