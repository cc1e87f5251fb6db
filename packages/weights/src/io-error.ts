import { FtError } from "@ft/tensor";

const hints: { readonly [code: string]: string } = {
  ENOENT: "check the path",
  ENOTDIR: "check the path: a part of it is a file",
  EISDIR: "give a file, not a folder",
  EACCES: "check the permissions of the file and its folder",
  EPERM: "check the permissions of the file and its folder",
  EROFS: "the file system is read-only: choose another place",
  ENOSPC: "free some disk space, or choose another place",
  EDQUOT: "the disk quota is used up: free some space, or choose another place",
  EFBIG: "the file system cannot hold a file this large: choose another place, or smaller shards",
  EMFILE: "too many files are open: raise the limit (ulimit -n), or close other weight files",
  ENFILE: "too many files are open on this machine: close some",
  EIO: "the disk reported an error: check it, or choose another place",
  EEXIST: "something is already there: choose another place",
  ENAMETOOLONG: "shorten the path",
};

/** The `code` of a Node system error ("ENOSPC"), or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" && "syscall" in error ? error.code : undefined;
}

/** A system error as an FtError that says what was being done to which path; anything else comes back as it is. */
export function ioError(error: unknown, doing: string, path: string): unknown {
  const errno = errnoOf(error);
  if (errno === undefined) return error;
  const missing = errno === "ENOENT" || errno === "ENOTDIR";
  return new FtError(
    missing ? "missing" : "io",
    missing ? `cannot ${doing} ${path}: there is no such file or folder` : `cannot ${doing} ${path}: ${errno}`,
    hints[errno] ?? "see the system's description of this error code",
    { cause: error },
  );
}
