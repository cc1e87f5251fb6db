import { randomBytes } from "node:crypto";
import { type FileHandle, link, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FtError } from "@ft/tensor";
import { errnoOf, ioError } from "./io-error.ts";

/** Appends bytes to the file being written, all of them. */
export type Append = (bytes: Uint8Array) => Promise<void>;

const maxWrite = 64 * 2 ** 20;

/**
 * Writes a file so that its path holds either what was there before or the whole new content, also after a crash or on a full disk:
 * under a temporary name beside its place, flushed, then renamed. Code "io" when the disk fails; the temporary file is removed then.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  await streamFileAtomic(path, (append) => append(typeof data === "string" ? Buffer.from(data) : data));
}

/**
 * `writeFileAtomic` for content that is made piece by piece. An error thrown by `write` comes out as it is; nothing is left behind.
 * @param options replace: false leaves a file alone that is there when all is written, code "exists"
 */
export async function streamFileAtomic(
  path: string,
  write: (append: Append) => Promise<void>,
  options: { readonly replace?: boolean } = {},
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString("hex")}.partial`);
  try {
    await mkdir(folder, { recursive: true });
    const handle = await open(temporary, "wx");
    try {
      await write((bytes) => appendAll(handle, bytes));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await (options.replace === false ? moveToNew(temporary, path) : rename(temporary, path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw ioError(error, "write", path);
  }
  await syncFolder(folder);
}

/** A rename that replaces nothing: a second name, which is given only where there is none, and then the first one's end. */
async function moveToNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const found = errnoOf(error) === "EEXIST" || (await stat(to).catch(() => undefined)) !== undefined;
    if (found) throw new FtError("exists", `${to} is there already`, "choose another name, or remove it first");
    await rename(from, to); // some file systems give no second names
    return;
  }
  await rm(from);
}

/** Flushes the list of names in a folder, so that a rename outlives a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    // Windows and some network file systems cannot flush a folder; there the rename is as durable as it gets.
    const errno = errnoOf(error);
    if (errno !== "EISDIR" && errno !== "EPERM" && errno !== "EACCES" && errno !== "EINVAL" && errno !== "ENOTSUP")
      throw ioError(error, "flush", folder);
  }
}

/** One call may write less than it was given; a disk that fills up does so before it fails. */
async function appendAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, Math.min(maxWrite, bytes.length - done));
    done += bytesWritten;
  }
}
