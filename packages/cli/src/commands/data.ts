import { basename, extname, join } from "node:path";
import { styleText } from "node:util";
import {
  type Conversation,
  dataStats,
  encodeConversation,
  encodeConversations,
  type LengthStats,
  loadRows,
  loadTokenizer,
  previewExample,
  splitRows,
  type Truncation,
} from "@ft/data";
import { FtError } from "@ft/tensor";
import { writeFileAtomic } from "@ft/weights";
import type { Io } from "../io.ts";
import { exists } from "../run/exists.ts";
import { openTemplate } from "../run/open-model.ts";
import { resolveModel } from "../run/resolve-model.ts";

export interface DataFlags {
  readonly data: string;
  readonly model: string;
  readonly chatTemplate?: string;
  readonly maxLength: number;
  readonly truncation: Truncation;
}

/** `ft data preview`: rows as the model sees them, with what is trained on in colour. */
export async function previewCommand(
  flags: DataFlags & { readonly rows: number },
  io: Io,
  signal: AbortSignal,
): Promise<void> {
  const tokenizer = await loadTokenizer((await resolveModel(flags.model, "tokenizer", io, signal)).path);
  const template = await openTemplate(tokenizer, flags.chatTemplate);
  const conversations = await loadRows(flags.data);
  const shown: object[] = [];
  for (const conversation of conversations.slice(0, flags.rows)) {
    const example = encodeConversation(tokenizer, template, conversation, flags);
    if (example === undefined) {
      io.print(heading(conversation, "left out: too long"));
      continue;
    }
    const spans = previewExample(tokenizer, example);
    const targets = example.targets.filter((target) => target >= 0).length;
    io.print(
      heading(
        conversation,
        `${example.tokens.length} tokens, ${targets} trained${example.cut > 0 ? `, ${example.cut} cut off` : ""}`,
      ),
    );
    io.print(spans.map(({ text, trained }) => (trained ? marked(text) : text)).join(""));
    io.print("");
    shown.push({
      ...conversation.source,
      tokens: example.tokens.length,
      targetTokens: targets,
      cut: example.cut,
      spans,
    });
  }
  io.document({ data: flags.data, rows: conversations.length, shown });
}

function heading({ source }: Conversation, remark: string): string {
  return styleText("dim", `— row ${source.row}: ${remark}`);
}

/** Green on a terminal; elsewhere brackets, so that the mask survives a pipe. */
function marked(text: string): string {
  return process.stdout.isTTY ? styleText("green", text) : `⟦${text}⟧`;
}

/** `ft data stats`: counts, lengths, and what truncation does. */
export async function statsCommand(flags: DataFlags, io: Io, signal: AbortSignal): Promise<void> {
  const tokenizer = await loadTokenizer((await resolveModel(flags.model, "tokenizer", io, signal)).path);
  const template = await openTemplate(tokenizer, flags.chatTemplate);
  const conversations = await loadRows(flags.data);
  const { examples, stats } = encodeConversations(tokenizer, template, conversations, flags);
  const counted = dataStats(examples);
  const row = (name: string, value: string): void => io.print(`${name.padEnd(16)}${value}`);
  row("rows", `${conversations.length}`);
  row("examples", `${stats.examples} (${stats.truncated} cut to ${flags.maxLength} tokens, ${stats.dropped} left out)`);
  row("tokens", `${counted.tokens}`);
  row("trained on", `${counted.targetTokens} (${(100 * counted.targetShare).toFixed(1)} %)`);
  row("length", showLengths(counted.length));
  row("answer", showLengths(counted.targetLength));
  row("duplicates", `${counted.duplicates}`);
  io.document({
    data: flags.data,
    rows: conversations.length,
    ...counted,
    cutTokens: stats.cutTokens,
    dropped: stats.dropped,
  });
}

function showLengths({ min, mean, p50, p95, max }: LengthStats): string {
  return `${min} to ${max} tokens, mean ${mean.toFixed(1)}, median ${p50}, 95 % up to ${p95}`;
}

export interface SplitFlags {
  readonly data: string;
  readonly out: string;
  readonly fraction: number;
  readonly seed: number;
}

/** `ft data split`: two files of messages, one seeded split; rows that ask the same stay together. */
export async function splitCommand(flags: SplitFlags, io: Io): Promise<void> {
  const rows = await loadRows(flags.data);
  const { train, heldOut } = splitRows(rows, { fraction: flags.fraction, seed: flags.seed });
  const stem = basename(flags.data, extname(flags.data));
  const files = [
    { path: join(flags.out, `${stem}.train.jsonl`), rows: train },
    { path: join(flags.out, `${stem}.validation.jsonl`), rows: heldOut },
  ];
  for (const { path } of files)
    if (await exists(path)) throw new FtError("exists", `${path} exists already`, "remove it or choose another --out");
  for (const { path, rows: part } of files) {
    await writeFileAtomic(path, part.map(toLine).join(""));
    io.print(`${path}: ${part.length} rows`);
  }
  io.document({
    data: flags.data,
    seed: flags.seed,
    files: files.map(({ path, rows: part }) => ({ path, rows: part.length })),
  });
}

/** A row as OpenAI messages; weight 0 marks answers that are not trained. */
function toLine({ messages }: Conversation): string {
  const plain = messages.map(({ train, ...message }) =>
    message.role === "assistant" && !train ? { ...message, weight: 0 } : message,
  );
  return `${JSON.stringify({ messages: plain })}\n`;
}
