import { writeSync } from "node:fs";

/** Where a command speaks: results to stdout, everything else to stderr. With --json, stdout is one JSON document. */
export interface Io {
  readonly json: boolean;
  /** a line of the result; nothing under --json */
  print(line: string): void;
  /** a piece of the result without a line break; nothing under --json */
  write(text: string): void;
  /** progress and remarks */
  note(line: string): void;
  /** the document of --json; nothing otherwise */
  document(value: unknown): void;
}

export function createIo(json: boolean): Io {
  // synchronous, so that nothing is lost when the process exits
  const out = (text: string): void => writeAll(1, text);
  return {
    json,
    print: (line) => json || out(`${line}\n`),
    write: (text) => json || out(text),
    note: (line) => writeAll(2, `${line}\n`),
    document: (value) => json && out(`${JSON.stringify(value, null, 2)}\n`),
  };
}

function writeAll(fd: 1 | 2, text: string): void {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EPIPE") return; // the reader has gone: `ft ... | head`
      if (code !== "EAGAIN") throw error;
    }
  }
}
