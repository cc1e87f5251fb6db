import { FtError } from "@ft/tensor";
import { type Conversation, describeSource, rowError } from "../rows/conversation.ts";
import type { ChatTemplate } from "../template/chat-template.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { countTargets, type Example, ignoredTarget } from "./example.ts";
import { renderAnswers } from "./spans.ts";
import { tokenBoundary } from "./token-boundary.ts";

/** What happens to a row longer than `maxLength`: its end is cut off, the row is left out, or it is an error. */
export type Truncation = "end" | "drop" | "error";

/** How rows become examples. */
export interface EncodeOptions {
  /** Largest number of tokens of an example. */
  readonly maxLength: number;
  /** Default "end". */
  readonly truncation?: Truncation;
}

/** Token ids of a rendered chat: BOS in front exactly once, whether the template or the tokenizer brings it. */
export function encodeRendered(tokenizer: Tokenizer, text: string): { ids: number[]; added: number } {
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  const { bosId } = tokenizer;
  if (!tokenizer.addsBos || bosId === undefined || ids[0] === bosId) return { ids, added: 0 };
  return { ids: [bosId, ...ids], added: 1 };
}

/**
 * Tokenises one chat and marks what is learnt: the trained assistant messages with the token that ends each of them.
 * The loss mask comes from message spans; a token across the border between prompt and answer belongs to the prompt.
 * @returns undefined where the row is too long and `truncation` is "drop"
 * @throws FtError "data" naming the row: the template refuses it, it is too long under "error", or nothing is left to learn
 */
export function encodeConversation(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  conversation: Conversation,
  options: EncodeOptions,
): Example | undefined {
  const { maxLength, truncation = "end" } = options;
  if (!Number.isInteger(maxLength) || maxLength < 2) {
    throw new FtError("config", `maxLength is ${maxLength}`, "use a whole number of at least 2 tokens");
  }
  const { source } = conversation;
  const { text, spans, unclear } = renderOrName(template, conversation);
  if (unclear.length > 0) {
    const problem = `messages[${unclear[0]}]: ${template.name} changes it so that its answer cannot be told from its prompt`;
    throw rowError(source, problem, `give it "weight": 0, split the row there, or use another template`);
  }
  const { ids, added } = encodeRendered(tokenizer, text);
  const plain = added === 0 ? ids : ids.slice(added);
  const targets = new Int32Array(ids.length).fill(ignoredTarget);
  const boundary = (position: number, across: "before" | "behind"): number =>
    tokenBoundary(tokenizer, plain, text, position, across) + added;
  for (const { start, end, sureEnd } of spans) {
    const from = boundary(start, "before");
    const last = boundary(end, "behind");
    const to =
      sureEnd === undefined
        ? withoutTrailingSpace(tokenizer, ids, from, last)
        : lastSpecial(tokenizer, ids, boundary(sureEnd, "behind"), last);
    for (let i = Math.max(from, 1); i < to; i++) targets[i - 1] = ids[i] ?? ignoredTarget;
  }
  const cut = Math.max(0, ids.length - maxLength);
  if (cut > 0 && truncation === "drop") return undefined;
  if (cut > 0 && truncation === "error") {
    const hint = `raise the length to ${ids.length}, shorten the row, or choose truncation "end" or "drop"`;
    throw rowError(source, `has ${ids.length} tokens, more than ${maxLength}`, hint);
  }
  const kept = cut === 0 ? targets : targets.slice(0, maxLength).fill(ignoredTarget, maxLength - 1);
  if (countTargets(kept) === 0) throw nothingToLearn(conversation, cut, maxLength);
  return { tokens: Int32Array.from(cut === 0 ? ids : ids.slice(0, maxLength)), targets: kept, cut, source };
}

/** Renders, and lets the template's complaint name the row. */
function renderOrName(template: ChatTemplate, { messages, source }: Conversation): ReturnType<typeof renderAnswers> {
  try {
    return renderAnswers(template, messages);
  } catch (error) {
    if (!FtError.is(error)) throw error;
    const problem = error.message.slice(0, error.message.length - error.hint.length - 2);
    throw new FtError("data", `${describeSource(source)}: ${problem}`, error.hint, { cause: error });
  }
}

function closes(tokenizer: Tokenizer, id: number): boolean {
  return tokenizer.isSpecial(id) || tokenizer.stopIds.includes(id);
}

/**
 * The end of an answer's targets: behind the last special token, when only white space follows it. Templates put a line
 * break after the end-of-turn token; generation has stopped by then, so there is nothing to learn from it.
 */
function withoutTrailingSpace(tokenizer: Tokenizer, ids: readonly number[], from: number, to: number): number {
  for (let i = to; i > from; i--) {
    const id = ids[i - 1] ?? 0;
    if (closes(tokenizer, id)) return i;
    if (tokenizer.decode([id]).trim() !== "") return to;
  }
  return to;
}

/** Behind the last special token of ids[from..to), or `from` where there is none. */
function lastSpecial(tokenizer: Tokenizer, ids: readonly number[], from: number, to: number): number {
  for (let i = to; i > from; i--) if (closes(tokenizer, ids[i - 1] ?? 0)) return i;
  return from;
}

function nothingToLearn({ messages, source }: Conversation, cut: number, maxLength: number): FtError {
  if (!messages.some((message) => message.train)) {
    return rowError(source, "every assistant message has weight 0", `give one "weight": 1 or remove the row`);
  }
  if (cut === 0) return rowError(source, "has no token to learn", "write an answer or remove the row");
  const hint = `raise the length, shorten the prompt, or choose truncation "drop"`;
  return rowError(source, `has no answer left within ${maxLength} tokens`, hint);
}
