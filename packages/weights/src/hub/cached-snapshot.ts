import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { cachedCommit, repoCache, sizeAt } from "./cache.ts";
import { hubRepo } from "./repo.ts";
import { type HubOptions, hubSettings } from "./settings.ts";

/** A file of a snapshot. */
export interface SnapshotFile {
  /** path in the repository, with "/" */
  readonly path: string;
  /** bytes */
  readonly size: number;
}

/** A model's files at one commit, in a folder of the cache. */
export interface Snapshot {
  /** absolute or as given by the cache's folder; what loaders take */
  readonly folder: string;
  readonly commit: string;
  readonly files: readonly SnapshotFile[];
}

/**
 * What the cache holds of a model at a revision, whoever put it there; undefined when there is nothing. Makes no request, so a branch is
 * what it was when it was last downloaded. The files may be a part of the repository: those that were asked for.
 */
export async function cachedSnapshot(
  id: string,
  options: Pick<HubOptions, "cacheDir"> & { readonly revision?: string | undefined } = {},
): Promise<Snapshot | undefined> {
  const repo = hubRepo(id, options.revision);
  const cache = repoCache(hubSettings({ cacheDir: options.cacheDir }).cacheDir, id);
  const commit = await cachedCommit(cache, repo);
  if (commit === undefined) return undefined;
  const folder = cache.snapshot(commit);
  const files = await filesIn(folder, "");
  return files.length === 0 ? undefined : { folder, commit, files };
}

/** Files below a folder in order of their paths; links that lead nowhere are none. */
async function filesIn(folder: string, prefix: string): Promise<SnapshotFile[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found: SnapshotFile[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const [at, path] = [join(folder, entry.name), `${prefix}${entry.name}`];
    if (entry.isDirectory()) found.push(...(await filesIn(at, `${path}/`)));
    else {
      const size = await sizeAt(at);
      if (size !== undefined) found.push({ path, size });
    }
  }
  return found;
}
