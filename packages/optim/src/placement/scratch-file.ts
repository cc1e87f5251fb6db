import { FtError } from "@ft/tensor";

/** A file for one process's own use. */
export interface ScratchFile {
  /** Fills `data` from `position` on. */
  read(data: ArrayBufferView<ArrayBuffer>, position: number): Promise<void>;
  write(data: ArrayBufferView<ArrayBuffer>, position: number): Promise<void>;
  /** free bytes of its disk */
  bytesLeft(): number;
  close(): void;
}

/**
 * Makes a file in a folder. It loses its name as soon as it is open, where the system allows that: nobody else meets it,
 * and it is gone however this process ends. Errors have code "io".
 */
export function openScratch(folder: string): ScratchFile {
  const fs = nodeFs();
  const path = `${folder}/.optimizer-slots.${process.pid}.${Math.random().toString(36).slice(2)}`;
  const failed = (error: unknown, what: string, hint: string): FtError =>
    new FtError("io", `${what}: ${error instanceof Error ? error.message : String(error)}`, hint, { cause: error });
  let fd: number | undefined;
  let named = false;
  try {
    fd = fs.openSync(path, "wx+", 0o600);
    named = process.platform === "win32";
    if (!named) fs.unlinkSync(path);
  } catch (error) {
    if (fd !== undefined) fs.closeSync(fd);
    throw failed(error, `cannot make a file for optimizer slots in ${folder}`, "name a folder that can be written to");
  }
  type Call = (
    fd: number,
    data: Uint8Array,
    offset: number,
    length: number,
    position: number,
    done: (error: Error | null, count: number) => void,
  ) => void;
  /** All of it, in as many calls as the system takes. */
  const transfer = async (call: Call, what: string, view: ArrayBufferView<ArrayBuffer>, position: number) => {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    for (let done = 0; done < bytes.length; ) {
      if (fd === undefined)
        throw new FtError("disposed", "[optimizer] slots in a file are used after dispose", "dispose the state last");
      const open = fd;
      const length = Math.min(bytes.length - done, 2 ** 30);
      const count = await new Promise<number>((resolve, reject) =>
        call(open, bytes, done, length, position + done, (error, count) =>
          error
            ? reject(failed(error, `cannot ${what} the optimizer's slots in ${folder}`, hintOf(error)))
            : resolve(count),
        ),
      );
      if (count === 0)
        throw new FtError(
          "io",
          `the file of the optimizer's slots in ${folder} was cut off before byte ${position + bytes.length}`,
          "resume from the last checkpoint",
        );
      done += count;
    }
  };
  return {
    read: (data, position) => transfer(fs.read, "read", data, position),
    write: (data, position) => transfer(fs.write, "write", data, position),
    bytesLeft() {
      const { bavail, bsize } = fs.statfsSync(folder);
      return bavail * bsize;
    },
    close() {
      if (fd === undefined) return;
      fs.closeSync(fd);
      fd = undefined;
      if (named) fs.rmSync(path, { force: true });
    },
  };
}

function hintOf(error: Error): string {
  return "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT")
    ? "free some space or name another folder, and resume from the last checkpoint"
    : "check the disk, and resume from the last checkpoint";
}

/** Asked for when needed, so that everything else in this package runs in a browser too. */
function nodeFs(): typeof import("node:fs") {
  const fs = globalThis.process?.getBuiltinModule?.("node:fs");
  if (fs) return fs;
  throw new FtError("unsupported", "[optimizer] slots in a file need Node", 'keep them in memory: placement "host"');
}
