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
  /** a stream for lines that are rewritten */
  readonly progress: { write(text: string): void; readonly isTTY: boolean; readonly columns: number };
}

/** Where text goes in the end: the process's own streams, unless a program that embeds the command catches it. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

/** stdout and stderr, written synchronously so that nothing is lost when the process exits. */
export const processOutput: Output = { out: (text) => writeAll(1, text), err: (text) => writeAll(2, text) };

export function createIo(json: boolean, { out, err }: Output = processOutput): Io {
  return {
    json,
    print: (line) => json || out(`${line}\n`),
    write: (text) => json || out(text),
    note: (line) => err(`${line}\n`),
    document: (value) => json && out(`${JSON.stringify(value, null, 2)}\n`),
    progress: { write: err, isTTY: process.stderr.isTTY === true, columns: process.stderr.columns ?? 80 },
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
