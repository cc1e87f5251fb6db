import { open, stat } from "node:fs/promises";
import { endianness } from "node:os";
import { FtError } from "@ft/tensor";
import { ioError } from "./io-error.ts";

/** A regular file open for reading at any offset. Positions and sizes are in bytes, exact up to 2^53. */
export interface DataFile {
  readonly path: string;
  readonly size: number;
  /** Fills `bytes` from `position` on; a file that ends early is an error. */
  readInto(bytes: Uint8Array, position: number): Promise<void>;
  close(): Promise<void>;
}

/** One read call transfers at most this much: the system's own limit is 2 GiB - 4 KiB. */
const maxRead = 256 * 2 ** 20;

/** Opens a regular file. Pipes, devices and folders are refused before they are opened, since opening a pipe can wait for ever. */
export async function openDataFile(path: string): Promise<DataFile> {
  if (endianness() !== "LE")
    throw new FtError("unsupported", "weight files are little-endian and this processor is not", "use another machine");
  try {
    const before = await stat(path);
    if (before.isDirectory()) throw new FtError("input", `${path} is a folder`, "give a file");
    if (!before.isFile()) throw new FtError("input", `${path} is not a regular file`, "give a regular file");
    const handle = await open(path, "r");
    const { size } = await handle.stat();
    let closed = false;
    return {
      path,
      size,
      async readInto(bytes, position) {
        if (closed) throw new FtError("disposed", `${path} was closed`, "read before closing the weight source");
        let done = 0;
        while (done < bytes.length) {
          const want = Math.min(maxRead, bytes.length - done);
          const got = await handle.read(bytes, done, want, position + done).catch((error: unknown) => {
            throw ioError(error, "read", path);
          });
          if (got.bytesRead === 0)
            throw new FtError(
              "io",
              `${path} ended at byte ${position + done} of ${size}`,
              "the file was cut short while it was open: fetch it again",
            );
          done += got.bytesRead;
        }
      },
      async close() {
        if (closed) return;
        closed = true;
        await handle.close();
      },
    };
  } catch (error) {
    throw ioError(error, "open", path);
  }
}

/** What a file of another kind looks like from its first bytes, as an error; undefined if nothing is recognised. */
export function otherKind(path: string, head: Uint8Array): FtError | undefined {
  const text = Buffer.from(head.subarray(0, 64)).toString("latin1");
  if (text.startsWith("PK\x03\x04") || text.startsWith("\x80\x02") || text.startsWith("\x80\x04"))
    return pickleError(path);
  if (text.startsWith("version https://git-lfs"))
    return new FtError(
      "format",
      `${path} is a Git LFS pointer, not the weights`,
      "run `git lfs pull` in that repository",
    );
  if (/^\s*<(!doctype|html|\?xml)/i.test(text))
    return new FtError("format", `${path} is a web page, not weights`, "download the file itself");
  if (text.startsWith("GGUF"))
    return new FtError("format", `${path} is a GGUF file`, "give it the extension .gguf, or open it with openGguf");
  return undefined;
}

/** The refusal of PyTorch's pickled checkpoints: reading one can run any code. */
export function pickleError(path: string): FtError {
  return new FtError(
    "unsupported",
    `${path} is a pickled PyTorch checkpoint, which can run code when it is loaded`,
    "convert it where you trust it: in Python, load the model and call save_pretrained(folder, safe_serialization=True)",
  );
}
