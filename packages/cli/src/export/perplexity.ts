import { basename } from "node:path";
import { type Conversation, chatTemplateOf, encodeConversations, loadRows, type Tokenizer } from "@ft/data";
import { addLikelihoods, type Likelihood, perplexityOf, type TargetRow } from "@ft/eval";
import { FtError } from "@ft/tensor";
import { dataOfRun } from "./run-data.ts";

/** Rows that a model is measured on before and after an export. */
export interface MeasuredRows {
  readonly rows: readonly TargetRow[];
  /** "32 rows of rows.json" */
  readonly what: string;
}

/** rows at most: a check is to take a minute, not an hour */
const most = 32;
/** tokens of a row at most */
const longest = 1024;

/**
 * The rows of `data`, or those that the run of `adapter` held out from its training; undefined where neither is known, or none fits.
 * The first 32; those that are too long are left out. Errors: "missing", "data", as of training data, if `data` was given.
 */
export async function heldOutRows(
  tokenizer: Tokenizer,
  context: number,
  { data, adapter }: { readonly data: string | undefined; readonly adapter: string | undefined },
): Promise<MeasuredRows | undefined> {
  const run = data === undefined && adapter !== undefined ? await dataOfRun(adapter) : undefined;
  const found = data === undefined ? run?.heldOut : { file: data, conversations: await loadRows(data) };
  if (found === undefined) return undefined;
  const first = found.conversations.slice(0, most);
  const maxLength = Math.min(longest, context);
  const which = `${data === undefined ? "held-out " : ""}rows of ${basename(found.file)}`;
  const encode = (): MeasuredRows => measuredRows(tokenizer, first, { maxLength, which });
  return data === undefined ? fitting(encode) : encode();
}

/** Rows as they were in training, without those that are too long. Code "data" where none is left. */
export function measuredRows(
  tokenizer: Tokenizer,
  conversations: readonly Conversation[],
  { maxLength, which }: { readonly maxLength: number; readonly which: string },
): MeasuredRows {
  const options = { maxLength, truncation: "drop" } as const;
  const { examples } = encodeConversations(tokenizer, chatTemplateOf(tokenizer), conversations, options);
  return { rows: examples, what: `${examples.length} ${which}` };
}

/** The same of rows that nobody asked for: none instead of an error. */
export function fitting(encode: () => MeasuredRows): MeasuredRows | undefined {
  try {
    return encode();
  } catch (error) {
    if (FtError.is(error) && error.code === "data") return undefined;
    throw error;
  }
}

/** Perplexity of the answers of some rows. */
export async function perplexityOver(
  { rows }: MeasuredRows,
  likelihood: (row: TargetRow) => Promise<Likelihood>,
  signal: AbortSignal,
): Promise<number> {
  let total: Likelihood = { nll: 0, tokens: 0 };
  for (const row of rows) {
    // a turn of the event loop, so that a signal can arrive while the backend keeps this thread busy
    await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
    total = addLikelihoods(total, await likelihood(row));
  }
  return perplexityOf(total);
}

/** "perplexity 12.31 before, 12.52 after (+1.7 %)". */
export function describePerplexity(before: number, after: number): string {
  const percent = (100 * (after / before - 1)).toFixed(2).replace(/^-0\.00$/, "0.00");
  return `perplexity ${before.toFixed(3)} before, ${after.toFixed(3)} after (${percent.startsWith("-") ? "" : "+"}${percent} %)`;
}
