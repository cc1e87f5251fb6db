import { FtError } from "@ft/tensor";
import type { Conversation } from "../rows/conversation.ts";
import type { ChatTemplate } from "../template/chat-template.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type EncodeOptions, encodeConversation } from "./encode-conversation.ts";
import { countTargets, type Example } from "./example.ts";

/** What encoding a data set did, for the user to see. */
export interface EncodeStats {
  /** Rows that became examples. */
  readonly examples: number;
  /** Examples whose end was cut off. */
  readonly truncated: number;
  /** Tokens lost that way. */
  readonly cutTokens: number;
  /** Rows left out because they were too long. */
  readonly dropped: number;
  /** Tokens in all examples. */
  readonly tokens: number;
  /** Tokens that are learnt. */
  readonly targetTokens: number;
}

/**
 * Tokenises a whole data set in its order, see `encodeConversation`.
 * @throws FtError "data" naming the first row that fails, or where dropping left none
 */
export function encodeConversations(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  conversations: readonly Conversation[],
  options: EncodeOptions,
): { examples: Example[]; stats: EncodeStats } {
  const examples = conversations.flatMap((conversation) => {
    const example = encodeConversation(tokenizer, template, conversation, options);
    return example === undefined ? [] : [example];
  });
  if (examples.length === 0) {
    const problem = `none of ${conversations.length} rows fits into ${options.maxLength} tokens`;
    throw new FtError("data", problem, `raise the length or choose truncation "end"`);
  }
  const sum = (value: (example: Example) => number): number =>
    examples.reduce((total, example) => total + value(example), 0);
  const stats = {
    examples: examples.length,
    truncated: examples.filter((example) => example.cut > 0).length,
    cutTokens: sum((example) => example.cut),
    dropped: conversations.length - examples.length,
    tokens: sum((example) => example.tokens.length),
    targetTokens: sum((example) => countTargets(example.targets)),
  };
  return { examples, stats };
}
