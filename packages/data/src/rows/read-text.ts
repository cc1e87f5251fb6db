import { createReadStream } from "node:fs";
import { FtError } from "@ft/tensor";

/** One line of a text file, from 1, without its line break. */
export interface TextLine {
  readonly line: number;
  readonly text: string;
}

/** Decodes UTF-8 strictly; a byte order mark is dropped. @throws FtError "data" naming the place */
export function decodeUtf8(bytes: Uint8Array, place: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FtError("data", `${place}: the bytes are not UTF-8`, "save the file as UTF-8", { cause });
  }
}

/** Turns what the file system reports into an FtError that names the file. */
export function fileError(error: unknown, file: string): FtError {
  if (FtError.is(error)) return error;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return new FtError("missing", `${file}: no such file`, "check the path", { cause: error });
  if (code === "EISDIR") return new FtError("missing", `${file}: is a folder`, "name a file in it", { cause: error });
  const reason = error instanceof Error ? error.message : String(error);
  return new FtError("io", `${file}: cannot be read (${reason})`, "check the file and its permissions", {
    cause: error,
  });
}

/** The lines of a file, read in pieces: no more than one line and one piece are held. @throws FtError naming file and row */
export async function* readLines(file: string): AsyncGenerator<TextLine> {
  let rest: Uint8Array[] = [];
  let line = 0;
  const take = (tail: Uint8Array): TextLine => {
    line++;
    const bytes = rest.length === 0 ? tail : Buffer.concat([...rest, tail]);
    rest = [];
    return { line, text: decodeUtf8(bytes, `row ${line} of ${file}`) };
  };
  try {
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
      const bytes: Buffer = chunk;
      let from = 0;
      for (let to = bytes.indexOf(10); to !== -1; to = bytes.indexOf(10, from)) {
        yield take(bytes.subarray(from, to));
        from = to + 1;
      }
      if (from < bytes.length) rest.push(bytes.subarray(from));
    }
    if (rest.length > 0) yield take(new Uint8Array(0));
  } catch (error) {
    throw fileError(error, file);
  }
}
