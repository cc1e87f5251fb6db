import {
  type ChatTemplate,
  type Conversation,
  describeSource,
  encodeConversation,
  type Message,
  renderPrompt,
  type Tokenizer,
  type Truncation,
} from "@ft/data";
import type { TargetRow } from "@ft/eval";
import { FtError } from "@ft/tensor";

/** One row of a test set. */
export interface TestRow {
  /** as it stands in its file, from 1 */
  readonly row: number;
  /** what the model answers to: everything before the last turn of the assistant */
  readonly prompt: readonly Message[];
  readonly promptIds: readonly number[];
  /** that last turn */
  readonly references: readonly string[];
  /** every answer that training would learn; undefined where no loss is asked for */
  readonly example: TargetRow | undefined;
}

export interface TestRowsOptions {
  /** tokens of a row at most */
  readonly maxLength: number;
  readonly truncation: Truncation;
  /** rows at most, the first ones */
  readonly limit?: number | undefined;
  readonly losses: boolean;
  readonly answers: boolean;
  /** tokens that a prompt must leave room in */
  readonly context: number;
}

/**
 * Chats as a test set, with how many were left out for their length.
 * Errors: "data" with the row that has nothing to answer, is too long, or that the template refuses.
 */
export function testRows(
  conversations: readonly Conversation[],
  tokenizer: Tokenizer,
  template: ChatTemplate,
  options: TestRowsOptions,
): { readonly rows: readonly TestRow[]; readonly leftOut: number } {
  const { limit = Number.POSITIVE_INFINITY, losses, answers, truncation, context } = options;
  const rows: TestRow[] = [];
  let leftOut = 0;
  for (const conversation of conversations) {
    if (rows.length >= limit) break;
    const { messages, source } = conversation;
    const last = messages.findLastIndex(({ role }) => role === "assistant");
    const prompt = messages.slice(0, last).map(({ role, content }) => ({ role, content }));
    if (answers && prompt.length === 0)
      throw new FtError("data", `${describeSource(source)}: nothing stands before its answer`, "give it a question");
    // its length decides whether a row is left out, also where no loss is asked for
    const measured = losses || truncation !== "end";
    const example = measured ? encodeConversation(tokenizer, template, conversation, options) : undefined;
    if (measured && example === undefined) {
      leftOut++;
      continue;
    }
    const { ids } = prompt.length === 0 ? { ids: [] } : renderPrompt(tokenizer, template, prompt);
    if (answers && ids.length >= context)
      throw new FtError(
        "data",
        `${describeSource(source)}: its prompt has ${ids.length} tokens, and the model's context is ${context}`,
        `leave such rows out with --truncation drop --max-length ${context}`,
      );
    rows.push({
      row: source.row,
      prompt,
      promptIds: ids,
      references: [messages[last]?.content ?? ""],
      example: losses ? example : undefined,
    });
  }
  if (rows.length === 0)
    throw new FtError(
      "data",
      `none of ${conversations.length} rows fits into ${options.maxLength} tokens`,
      "raise --max-length, or use --truncation end",
    );
  return { rows, leftOut };
}
