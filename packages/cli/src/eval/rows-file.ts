import { type FileHandle, open, readFile } from "node:fs/promises";
import { FtError } from "@ft/tensor";
import { exists } from "../run/exists.ts";

/** A JSONL file that grows row by row, each flushed, so that a run that is stopped loses none. */
export interface RowsFile<Row> extends AsyncDisposable {
  /** what was there already, and what was added since */
  readonly rows: readonly Row[];
  append(row: Row): Promise<void>;
}

/**
 * Opens such a file for more, or makes it. A last line that was torn when a run ended is dropped.
 * Errors: "format" for any other line that `read` does not take.
 */
export async function openRowsFile<Row extends { readonly index: number }>(
  file: string,
  read: (value: unknown) => Row | undefined,
): Promise<RowsFile<Row>> {
  const rows: Row[] = [];
  const text = (await exists(file)) ? await readFile(file, "utf8") : "";
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  for (const [i, line] of whole.split("\n").slice(0, -1).entries()) {
    const row = parsed(line, read);
    if (row?.index !== i)
      throw new FtError(
        "format",
        `line ${i + 1} of ${file} is not row ${i} of an evaluation`,
        "remove the file to have its rows computed again",
      );
    rows.push(row);
  }
  const handle = await open(file, "a").catch((cause: unknown) => {
    throw new FtError("io", `${file} cannot be written`, "choose an --out that can be written", { cause });
  });
  await handle.truncate(Buffer.byteLength(whole));
  return {
    rows,
    async append(row) {
      await write(handle, file, `${JSON.stringify(row)}\n`);
      rows.push(row);
    },
    async [Symbol.asyncDispose]() {
      await handle.close();
    },
  };
}

/** The same without a file, where nothing is kept. */
export function rowsInMemory<Row>(): RowsFile<Row> {
  const rows: Row[] = [];
  return {
    rows,
    async append(row) {
      rows.push(row);
    },
    async [Symbol.asyncDispose]() {},
  };
}

function parsed<Row>(line: string, read: (value: unknown) => Row | undefined): Row | undefined {
  try {
    return read(JSON.parse(line));
  } catch {
    return undefined;
  }
}

async function write(handle: FileHandle, file: string, line: string): Promise<void> {
  try {
    await handle.appendFile(line);
    await handle.datasync();
  } catch (cause) {
    throw new FtError("io", `${file} cannot be written`, "make room; the same command goes on from there", { cause });
  }
}
