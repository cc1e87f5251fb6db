import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { FtError } from "@ft/tensor";
import { errnoOf, ioError } from "../io-error.ts";
import { noSpace, sizeAt } from "./cache.ts";
import { fileUrl, type HubFile } from "./listing.ts";
import { leavePart, takePart } from "./part.ts";
import { type Answer, send } from "./request.ts";
import type { HubSettings } from "./settings.ts";
import { retrying, Transient } from "./transient.ts";

/** Where a blob comes from. */
export interface BlobSource {
  readonly id: string;
  readonly commit: string;
  readonly settings: HubSettings;
}

/**
 * Downloads a file's content to its place among the blobs. Goes on where an earlier download stopped, and after a cut connection.
 * The content is hashed as it comes and compared with the etag; what differs is removed (code "format"). When stopped, what has
 * arrived is kept. `onBytes` is told how many bytes are there, and how many of them have just come over the network.
 */
export async function downloadBlob(
  file: HubFile,
  blob: string,
  source: BlobSource,
  signal: AbortSignal,
  onBytes: (bytes: number, came: number) => void,
): Promise<void> {
  const part = await takePart(blob, file.size).catch((error: unknown) => {
    throw ioError(error, "write", blob);
  });
  const state: State = { file, source, path: part.path, hash: contentHash(file), have: 0, most: 0, onBytes };
  let handle: FileHandle | undefined;
  try {
    handle = await open(part.path, "a");
    if (part.size > 0) await hashPart(state, part.size);
    await receive(state, handle, signal);
    // bytes of an earlier download may have been those of another file: once from the beginning, then
    if (part.size > 0 && !matches(state)) {
      await startOver(state, handle);
      await receive(state, handle, signal);
    }
    if (!matches(state)) {
      await rm(part.path, { force: true });
      throw wrongContent(file, source);
    }
    await handle.sync();
    await handle.close();
    handle = undefined;
    await place(part.path, blob, file.size);
  } catch (error) {
    await handle?.close().catch(() => {});
    await leavePart(part.path, blob).catch(() => {});
    const errno = errnoOf(error);
    if (errno === "ENOSPC" || errno === "EDQUOT")
      throw noSpace(`${file.path} of ${source.id} no longer fits`, source.settings.cacheDir, error);
    throw ioError(error, "write", blob);
  }
}

interface State {
  readonly file: HubFile;
  readonly source: BlobSource;
  readonly path: string;
  hash: Hash;
  /** bytes on disk and in the hash */
  have: number;
  /** the most there ever were */
  most: number;
  readonly onBytes: (bytes: number, came: number) => void;
}

/** Git's name for content is the SHA-1 of a header and the content, that of Git LFS the SHA-256 of the content alone. */
function contentHash({ etag, size }: HubFile): Hash {
  return etag.length === 40 ? createHash("sha1").update(`blob ${size}\0`) : createHash("sha256");
}

/** Etags of servers other than the hub may be no hash; then only the size is checked. */
function matches({ file, hash, have }: State): boolean {
  if (have !== file.size) return false;
  return !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(file.etag) || hash.copy().digest("hex") === file.etag;
}

function wrongContent({ path, etag, size }: HubFile, { id, settings }: BlobSource): FtError {
  const kind = etag.length === 40 ? "Git SHA-1" : "SHA-256";
  return new FtError(
    "format",
    `${path} of ${id}: what arrived is not the file of ${size} bytes with ${kind} ${etag}; it was removed`,
    `try again; if it stays so, a proxy or mirror changes files (${settings.endpoint})`,
  );
}

async function hashPart(state: State, size: number): Promise<void> {
  for await (const piece of createReadStream(state.path, { end: size - 1 })) state.hash.update(piece);
  state.have = size;
  state.most = size;
  state.onBytes(size, 0);
}

async function startOver(state: State, handle: FileHandle): Promise<void> {
  await handle.truncate(0);
  state.have = 0;
  state.hash = contentHash(state.file);
  state.onBytes(0, 0);
}

/** Requests until the file has its size, each for what is missing. */
async function receive(state: State, handle: FileHandle, signal: AbortSignal): Promise<void> {
  const { file, source } = state;
  const { id, commit, settings } = source;
  if (state.have >= file.size) return;
  const what = `${file.path} of ${id}`;
  const url = fileUrl(settings.endpoint, id, commit, file.path);
  await retrying(
    async () => {
      const before = state.most;
      const headers: Record<string, string> = state.have > 0 ? { range: `bytes=${state.have}-` } : {};
      const answer = await send({ url, headers, what, id }, settings, signal);
      // a server may answer a range with the whole file
      const start = rangeStart(answer);
      if (start === 0 && state.have > 0) await startOver(state, handle);
      if (start !== state.have)
        throw new FtError("io", `${what}: asked from byte ${state.have}, got others`, "check HF_ENDPOINT");
      try {
        for await (const piece of answer.pieces()) {
          if (state.have + piece.length > file.size) return append(state, handle, piece); // too long: `matches` says no
          await append(state, handle, piece);
        }
      } catch (error) {
        if (error instanceof Transient) throw new Transient(error.final, { progressed: state.most > before });
        throw error;
      }
      if (state.have < file.size)
        throw new Transient(
          new FtError(
            "io",
            `${what} ended at byte ${state.have} of ${file.size}`,
            "the same again goes on where it stopped",
          ),
          { progressed: state.most > before },
        );
    },
    settings,
    signal,
  );
}

/** Where the content of a partial answer begins; 0 for a whole one. */
function rangeStart({ status, header }: Answer): number {
  if (status !== 206) return 0;
  return Number(/^bytes (\d+)-/.exec(header("content-range") ?? "")?.[1] ?? Number.NaN);
}

async function append(state: State, handle: FileHandle, piece: Uint8Array): Promise<void> {
  for (let done = 0; done < piece.length; ) done += (await handle.write(piece, done)).bytesWritten;
  state.hash.update(piece);
  state.have += piece.length;
  state.most = Math.max(state.most, state.have);
  state.onBytes(state.have, piece.length);
}

/** Another process may have finished the same blob, and on Windows a file that is open is not replaced. */
async function place(path: string, blob: string, size: number): Promise<void> {
  try {
    await rename(path, blob);
  } catch (error) {
    if ((await sizeAt(blob)) !== size) throw error;
    await rm(path, { force: true });
  }
}
