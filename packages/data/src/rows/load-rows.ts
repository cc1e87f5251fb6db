import { readFile } from "node:fs/promises";
import { FtError } from "@ft/tensor";
import { type Conversation, rowError } from "./conversation.ts";
import { jsonReason, locateJsonFault } from "./json-array.ts";
import { decodeUtf8, fileError, readLines } from "./read-text.ts";
import { toConversation } from "./to-conversation.ts";

/** V8 refuses longer strings; only a streamed format can be larger. */
const longestText = 2 ** 29 - 24;
const formats = "a JSON array of rows (.json) or one row per line (.jsonl)";

/**
 * Reads a data set: Alpaca rows or OpenAI messages, from a JSON array (`.json`) or from lines (`.jsonl`, `.ndjson`).
 * JSONL is read as a stream; blank lines are skipped; a byte order mark is ignored.
 * @throws FtError "missing" without the file; "data" naming file, row (line in JSONL) and field for anything wrong in it
 */
export async function loadRows(file: string): Promise<Conversation[]> {
  const lines = /\.(jsonl|ndjson)$/i.test(file);
  if (!lines && !/\.json$/i.test(file)) {
    throw new FtError("data", `${file}: the ending does not tell the format`, `name it .json or .jsonl: ${formats}`);
  }
  const rows = lines ? await loadLines(file) : await loadArray(file);
  if (rows.length === 0) throw new FtError("data", `${file}: holds no row`, `write ${formats}`);
  return rows;
}

async function loadLines(file: string): Promise<Conversation[]> {
  const rows: Conversation[] = [];
  for await (const { line, text } of readLines(file)) {
    if (text.trim() === "") continue;
    const source = { file, row: line };
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      const hint = /^\s*\[\s*$/.test(text)
        ? "this looks like a JSON array: name the file .json"
        : "each line must be one complete JSON value";
      throw rowError(source, `broken JSON (${jsonReason(error)})`, hint);
    }
    rows.push(toConversation(value, source));
  }
  return rows;
}

async function loadArray(file: string): Promise<Conversation[]> {
  let text: string;
  try {
    const bytes = await readFile(file);
    if (bytes.length > longestText) {
      const size = `${(bytes.length / 2 ** 20).toFixed(0)} MiB`;
      throw new FtError("data", `${file}: ${size} is more than one string can hold`, "convert it to .jsonl");
    }
    text = decodeUtf8(bytes, file);
  } catch (error) {
    throw fileError(error, file);
  }
  const first = text.trimStart()[0];
  if (first === undefined) throw new FtError("data", `${file}: is empty`, `write ${formats}`);
  if (first === "{") {
    throw new FtError("data", `${file}: begins with an object`, "put the rows in [ ], or name the file .jsonl");
  }
  if (first !== "[") throw new FtError("data", `${file}: is not a JSON array`, `write ${formats}`);
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    const { element, line, reason } = locateJsonFault(text);
    throw rowError(
      { file, row: element },
      `broken JSON at line ${line} (${reason})`,
      "repair the file or remove the row",
    );
  }
  if (!Array.isArray(values)) throw new FtError("data", `${file}: is not a JSON array`, `write ${formats}`);
  return values.map((value: unknown, i) => toConversation(value, { file, row: i + 1 }));
}
