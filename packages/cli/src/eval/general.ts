import { readFile } from "node:fs/promises";
import { type ChatTemplate, describeSource, encodeConversation, loadRows, type Tokenizer } from "@ft/data";
import { type Likelihood, rowLikelihood, stridedPerplexity, type TargetRow } from "@ft/eval";
import type { CausalLm } from "@ft/models";
import { FtError } from "@ft/tensor";

/** A document of the general set: a text, or the answers of a chat. */
export type Document =
  | { readonly ids: readonly number[]; readonly bytes: number }
  | { readonly example: TargetRow; readonly bytes?: never };

/** tokens of the window that goes over a text, where the model has as many; it moves on by half of them */
const window = 1024;

/**
 * The documents of a general set: a text file is one, of a .jsonl file every row with a `text`; rows of chats are documents
 * whose answers count. Errors: "missing", "data", as of training data; a document of less than two tokens is left out.
 */
export async function loadDocuments(
  file: string,
  tokenizer: Tokenizer,
  template: ChatTemplate,
  { context, limit = Number.POSITIVE_INFINITY }: { readonly context: number; readonly limit?: number | undefined },
): Promise<readonly Document[]> {
  const texts = await textsOf(file);
  const documents: Document[] = [];
  for (const text of texts ?? []) {
    if (documents.length >= limit) break;
    const ids = tokenizer.encode(text);
    if (ids.length > 1) documents.push({ ids, bytes: Buffer.byteLength(text) });
  }
  for (const conversation of texts === undefined ? await loadRows(file) : []) {
    if (documents.length >= limit) break;
    const example = encodeConversation(tokenizer, template, conversation, { maxLength: context });
    if (example === undefined)
      throw new FtError("data", `${describeSource(conversation.source)} cannot be encoded`, "repair the row");
    documents.push({ example });
  }
  if (documents.length === 0) throw new FtError("data", `${file}: holds no text`, "give a text of two tokens or more");
  return documents;
}

/** How likely a model finds a document. */
export async function documentLikelihood(
  model: CausalLm,
  document: Document,
  signal: AbortSignal,
): Promise<Likelihood> {
  if ("example" in document) return rowLikelihood(model, document.example);
  const maxLength = Math.min(window, model.config.maxPositions);
  const { nll, tokens } = await stridedPerplexity(model, document.ids, { maxLength, signal });
  return { nll, tokens };
}

/** The texts of a file; undefined where it holds chats. */
async function textsOf(file: string): Promise<readonly string[] | undefined> {
  const content = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new FtError("missing", `${file} cannot be read`, "give a .txt, .jsonl or .json file", { cause });
  });
  if (!/\.(jsonl|ndjson|json)$/i.test(file)) return [content];
  const rows = /\.json$/i.test(file) ? arrayOf(content) : linesOf(content);
  const texts = rows.map((row): unknown => Object(row).text);
  if (typeof texts[0] !== "string") return undefined;
  return texts.map((text, i) => {
    if (typeof text === "string") return text;
    throw new FtError("data", `row ${i + 1} of ${file}: has no text`, `the rows before it have a "text" each`);
  });
}

/** What does not parse is for the loader of chats to say. */
function arrayOf(content: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(content);
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function linesOf(content: string): readonly unknown[] {
  const lines = content.split("\n").filter((line) => line.trim() !== "");
  try {
    return lines.map((line): unknown => JSON.parse(line));
  } catch {
    return [];
  }
}
