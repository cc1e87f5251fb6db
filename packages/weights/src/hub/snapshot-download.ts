import { FtError } from "@ft/tensor";
import { downloadBlob } from "./blob.ts";
import { checkSpace, linkBlob, type RepoCache, repoCache, sizeAt, writeRef } from "./cache.ts";
import { cachedSnapshot, type Snapshot } from "./cached-snapshot.ts";
import { eachOf } from "./each-of.ts";
import { globMatcher } from "./glob.ts";
import { describeFile, type HubFile, listFiles } from "./listing.ts";
import { partSize } from "./part.ts";
import { type HubRepo, hubRepo } from "./repo.ts";
import { type HubOptions, hubSettings } from "./settings.ts";

/** Which files to download, how, and who is told. */
export interface SnapshotDownloadOptions extends HubOptions {
  /** branch, tag or commit; "main" when absent */
  readonly revision?: string | undefined;
  /** shell patterns of the files to take, where `*` matches "/" too; every file when absent */
  readonly allowPatterns?: readonly string[] | undefined;
  /** patterns of files to leave out, also of those allowed */
  readonly ignorePatterns?: readonly string[] | undefined;
  /** files downloaded at a time; 8 when absent */
  readonly maxWorkers?: number | undefined;
  /** told whenever bytes have come */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** stops the download; what has come is kept for the next one */
  readonly signal?: AbortSignal | undefined;
}

/** How far a download is. Counts are bytes; those that were in the cache already are part of them. */
export interface DownloadProgress {
  /** path in the repository of the file that has moved on */
  readonly path: string;
  /** bytes of this file that are there, and its size */
  readonly fileBytes: number;
  readonly fileSize: number;
  /** the same of all files together */
  readonly bytes: number;
  readonly size: number;
  /** bytes that came over the network in this call */
  readonly received: number;
  /** files that are complete, and all of them */
  readonly filesDone: number;
  readonly files: number;
}

/** A snapshot after a download. */
export interface DownloadedSnapshot extends Snapshot {
  /** bytes that came over the network; 0 when all was there */
  readonly received: number;
}

/**
 * Downloads a model's files into the cache that huggingface_hub uses, or finds them there, and returns their folder. Every file is
 * checked against its SHA-256 (large files) or Git's SHA-1 (small ones). The folder has all the files asked for or is not touched:
 * files are linked into it when all have come. Cut connections are resumed, in this call and in the next one.
 * Errors: "input" (id or revision misspelt), "missing" (no such model, revision or file; offline and not cached), "config"
 * (no access: token or licence), "io" (network, too many requests, no space), "format" (wrong content). When the signal aborts,
 * its reason is thrown.
 * Layout and names as in https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 */
export async function snapshotDownload(id: string, options: SnapshotDownloadOptions = {}): Promise<DownloadedSnapshot> {
  const repo = hubRepo(id, options.revision);
  const settings = hubSettings(options);
  const signal = options.signal ?? new AbortController().signal;
  signal.throwIfAborted();
  if (settings.offline) return offlineSnapshot(repo, options, settings.cacheDir);

  const cache = repoCache(settings.cacheDir, id);
  const { commit, files: listed } = await listFiles(repo, settings, signal);
  const chosen = chooseFiles(
    listed.map((file) => file.path),
    id,
    options,
  );
  const wanted = listed.filter(({ path }) => chosen.has(path));
  const workers = options.maxWorkers ?? 8;
  const source = { id, commit, settings };
  const files = await eachOf(wanted, workers, signal, (file, stop) => describeFile(file, source, settings, stop));

  const missing = await missingBlobs(files, cache, commit);
  const progress = follow(files, missing, options.onProgress);
  const sizes = await Promise.all([...missing].map(async ([blob, { size }]) => size - (await partSize(blob, size))));
  const left = sizes.reduce((sum, size) => sum + size, 0);
  await checkSpace(settings.cacheDir, left, id);
  await eachOf([...missing], workers, signal, ([blob, file], stop) =>
    downloadBlob(file, blob, source, stop, (bytes, came) => progress.moved(file, bytes, came)),
  );
  for (const { path, etag, size } of files) {
    const place = cache.file(commit, path);
    if ((await sizeAt(place)) !== size) await linkBlob(cache.blob(etag), place);
  }
  await writeRef(cache, repo, commit);
  return {
    folder: cache.snapshot(commit),
    commit,
    files: files.map(({ path, size }) => ({ path, size })),
    received: progress.received(),
  };
}

/** Blobs that are not there in their size, once each: two files of a repository may have the same content. */
async function missingBlobs(
  files: readonly HubFile[],
  cache: RepoCache,
  commit: string,
): Promise<Map<string, HubFile>> {
  const missing = new Map<string, HubFile>();
  for (const file of files) {
    const blob = cache.blob(file.etag);
    // where links do not work, huggingface_hub moves the blob itself into the snapshot
    const there = (await sizeAt(cache.file(commit, file.path))) === file.size || (await sizeAt(blob)) === file.size;
    if (!there && !missing.has(blob)) missing.set(blob, file);
  }
  return missing;
}

/** Paths that the patterns choose. Code "missing" when they choose none. */
function chooseFiles(
  paths: readonly string[],
  id: string,
  { allowPatterns, ignorePatterns = [] }: SnapshotDownloadOptions,
): ReadonlySet<string> {
  const allowed = allowPatterns === undefined ? () => true : globMatcher(allowPatterns);
  const ignored = globMatcher(ignorePatterns);
  const chosen = paths.filter((path) => allowed(path) && !ignored(path));
  if (chosen.length > 0) return new Set(chosen);
  const some = paths.slice(0, 12).join(", ");
  const rest = paths.length > 12 ? ` and ${paths.length - 12} more` : "";
  const asked = allowPatterns === undefined ? "" : ` that matches ${allowPatterns.join(", ")}`;
  const without = ignorePatterns.length === 0 ? "" : ` without ${ignorePatterns.join(", ")}`;
  throw new FtError(
    "missing",
    `${id} has no file${asked}${without}`,
    paths.length === 0 ? "the repository is empty" : `did you mean one of these? ${some}${rest}`,
  );
}

async function offlineSnapshot(
  { id, revision }: HubRepo,
  options: SnapshotDownloadOptions,
  cacheDir: string,
): Promise<DownloadedSnapshot> {
  const found = await cachedSnapshot(id, { revision, cacheDir });
  if (found === undefined)
    throw new FtError(
      "missing",
      `${id}${revision === "main" ? "" : ` at ${revision}`} is not in the cache ${cacheDir}, and the hub is switched off`,
      "unset HF_HUB_OFFLINE to download it, or set HF_HUB_CACHE to the cache that has it",
    );
  const chosen = chooseFiles(
    found.files.map((file) => file.path),
    `the cached part of ${id}`,
    options,
  );
  return { ...found, files: found.files.filter(({ path }) => chosen.has(path)), received: 0 };
}

interface Progress {
  moved(file: HubFile, bytes: number, came: number): void;
  received(): number;
}

/** Adds up what the files report. */
function follow(
  files: readonly HubFile[],
  missing: ReadonlyMap<string, HubFile>,
  tell: SnapshotDownloadOptions["onProgress"],
): Progress {
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const absent = new Set([...missing.values()].map(({ etag }) => etag));
  // how many files of the repository a blob stands for
  const uses = new Map<string, number>();
  for (const { etag } of files) uses.set(etag, (uses.get(etag) ?? 0) + 1);
  const there = new Map<string, number>();
  let bytes = files.reduce((sum, file) => sum + (absent.has(file.etag) ? 0 : file.size), 0);
  let filesDone = files.filter((file) => !absent.has(file.etag) || file.size === 0).length;
  let received = 0;
  return {
    moved({ path, etag, size: fileSize }, fileBytes, came) {
      const times = uses.get(etag) ?? 1;
      const before = there.get(etag) ?? 0;
      there.set(etag, fileBytes);
      bytes += times * (fileBytes - before);
      received += came;
      if (fileBytes === fileSize && before < fileSize) filesDone += times;
      else if (before === fileSize && fileBytes < fileSize) filesDone -= times;
      tell?.({ path, fileBytes, fileSize, bytes, size, received, filesDone, files: files.length });
    },
    received: () => received,
  };
}
