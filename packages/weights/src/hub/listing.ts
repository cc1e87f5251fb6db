import { FtError } from "@ft/tensor";
import { type HubRepo, isCommit, isFilePath } from "./repo.ts";
import { type Request, send, textOf } from "./request.ts";
import type { HubSettings } from "./settings.ts";
import { retrying } from "./transient.ts";

/** A file of a repository, before its content is known to be there. */
export interface HubFile {
  /** path in the repository, with "/" */
  readonly path: string;
  /** bytes */
  readonly size: number;
  /** names the content: SHA-256 of a large file (Git LFS), Git's SHA-1 of a small one; the name of its blob in the cache */
  readonly etag: string;
}

/** A file as it is listed; some servers leave out size and etag. */
export interface ListedFile {
  readonly path: string;
  readonly size: number | undefined;
  readonly etag: string | undefined;
}

/** What a repository holds at a revision. */
export interface Listing {
  readonly commit: string;
  readonly files: readonly ListedFile[];
  /** undefined where the server does not say */
  readonly isPrivate: boolean | undefined;
}

/** The commit that a revision stands for, and the files in it. One request. */
export async function listFiles(repo: HubRepo, settings: HubSettings, signal: AbortSignal): Promise<Listing> {
  const request = listingRequest(repo, settings);
  const text = await retrying(async () => textOf(await send(request, settings, signal)), settings, signal);
  return parseListing(text, request.what);
}

/** The request for a listing. */
export function listingRequest({ id, revision }: HubRepo, { endpoint }: HubSettings): Request {
  const what = revision === "main" ? id : `${id} at ${revision}`;
  const url = `${endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  return { url, what, id, impatient: true };
}

/** Reads the answer to it. Code "format". */
export function parseListing(text: string, what: string): Listing {
  const broken = (why: string): FtError =>
    new FtError("format", `${what}: the hub's list of files ${why}`, "check HF_ENDPOINT: it may not be a hub");
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw broken("is not JSON");
  }
  const { sha, siblings, private: isPrivate } = record(body);
  if (typeof sha !== "string" || !isCommit(sha)) throw broken("names no commit");
  if (!Array.isArray(siblings)) throw broken("has no files");
  const files = siblings.map((entry: unknown): ListedFile => {
    const { rfilename: path, size, blobId, lfs } = record(entry);
    if (typeof path !== "string" || !isFilePath(path))
      throw broken(`has the path ${JSON.stringify(path)?.slice(0, 200)}, which could lead out of the cache`);
    const large = record(lfs);
    return { path, size: count(large.size) ?? count(size), etag: etagOf(large.sha256) ?? etagOf(blobId) };
  });
  return { commit: sha, files, isPrivate: typeof isPrivate === "boolean" ? isPrivate : undefined };
}

/** Size and etag of a file, asked for where the list did not have them. */
export async function describeFile(
  file: ListedFile,
  { id, commit }: { readonly id: string; readonly commit: string },
  settings: HubSettings,
  signal: AbortSignal,
): Promise<HubFile> {
  const { path } = file;
  if (file.size !== undefined && file.etag !== undefined) return { path, size: file.size, etag: file.etag };
  const what = `${path} of ${id}`;
  const url = fileUrl(settings.endpoint, id, commit, path);
  const { header } = await retrying(
    () => send({ url, method: "HEAD", what, id, elsewhere: false }, settings, signal),
    settings,
    signal,
  );
  const size = count(Number(header("x-linked-size") ?? header("content-length") ?? "none"));
  const etag = etagOf((header("x-linked-etag") ?? header("etag"))?.replace(/^W\/|"/g, ""));
  if (size === undefined || etag === undefined)
    throw new FtError("format", `${what}: the hub tells no size or no etag`, "check HF_ENDPOINT: it may not be a hub");
  return { path, size, etag };
}

/** Where the content of a file is. */
export function fileUrl(endpoint: string, id: string, commit: string, path: string): string {
  return `${endpoint}/${id}/resolve/${commit}/${path.split("/").map(encodeURIComponent).join("/")}`;
}

/** An object's fields; none of anything else. */
export function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function count(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** It becomes a file name, so it is looked at first. */
function etagOf(value: unknown): string | undefined {
  return typeof value === "string" && /^[\w-]{1,200}$/.test(value) ? value : undefined;
}
