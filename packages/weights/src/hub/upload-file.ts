import { createHash } from "node:crypto";
import { open, readFile, stat } from "node:fs/promises";
import { FtError } from "@ft/tensor";
import { ioError } from "../io-error.ts";
import { bytesBody, fileBody, type RequestBody } from "./body.ts";
import { isFilePath } from "./repo.ts";

/** A file to upload. */
export interface UploadFile {
  /** path in the repository, with "/" */
  readonly path: string;
  /** path on disk, or the bytes themselves */
  readonly content: string | Uint8Array;
  /** SHA-256 of the content, where it is known already */
  readonly sha256?: string;
  /** it does not replace what the branch has at this path */
  readonly onlyNew?: boolean;
}

/** The same, looked at. */
export interface LocalFile {
  readonly path: string;
  readonly size: number;
  /** its first 512 bytes, by which the hub tells text from other data */
  readonly sample: Uint8Array;
  /** Git's SHA-1 of it as a small file */
  gitSha1(): Promise<string>;
  sha256(): Promise<string>;
  bytes(): Promise<Uint8Array>;
  /** bytes `start` up to `end`, as they are sent */
  body(start: number, end: number): RequestBody;
  /** Code "io" when it was written to since it was looked at. */
  checkUnchanged(): Promise<void>;
}

/** Looks at a file; nothing but its beginning is read. The signal stops hashing. Codes "missing", "io", and "input" for a path that no repository has. */
export async function localFile(
  { path, content, sha256: known }: UploadFile,
  signal?: AbortSignal,
): Promise<LocalFile> {
  if (!isFilePath(path) || path.split("/").includes(".git"))
    throw new FtError("input", `"${path}" is not the path of a file in a repository`, "rename it");
  const kept = <T>(make: () => Promise<T>): (() => Promise<T>) => {
    let made: Promise<T> | undefined;
    return () => {
      made ??= make();
      return made;
    };
  };
  if (typeof content !== "string")
    return {
      path,
      size: content.length,
      sample: content.subarray(0, 512),
      gitSha1: async () => gitHash(content.length).update(content).digest("hex"),
      sha256: async () => createHash("sha256").update(content).digest("hex"),
      bytes: async () => content,
      body: (start, end) => bytesBody(content.subarray(start, end)),
      checkUnchanged: async () => {},
    };
  const { size, mtimeMs, sample } = await lookAt(content);
  const hashed = async (hash: ReturnType<typeof createHash>): Promise<string> => {
    for await (const piece of fileBody(content, 0, size).pieces()) {
      signal?.throwIfAborted();
      hash.update(piece);
    }
    return hash.digest("hex");
  };
  return {
    path,
    size,
    sample,
    gitSha1: kept(() => hashed(gitHash(size))),
    sha256: known === undefined ? kept(() => hashed(createHash("sha256"))) : async () => known,
    bytes: () => readFile(content).catch((error: unknown) => Promise.reject(ioError(error, "read", content))),
    body: (start, end) => fileBody(content, start, end),
    async checkUnchanged() {
      const now = await stat(content).catch(() => undefined);
      if (now?.size !== size || now.mtimeMs !== mtimeMs)
        throw new FtError("io", `${content} was written to while it was uploaded`, "upload it when it is finished");
    },
  };
}

async function lookAt(path: string): Promise<{ size: number; mtimeMs: number; sample: Uint8Array }> {
  try {
    await using handle = await open(path);
    const { size, mtimeMs } = await handle.stat();
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(512), 0, 512, 0);
    return { size, mtimeMs, sample: buffer.subarray(0, bytesRead) };
  } catch (error) {
    throw ioError(error, "read", path);
  }
}

function gitHash(size: number): ReturnType<typeof createHash> {
  return createHash("sha1").update(`blob ${size}\0`);
}
