import type { Message } from "../rows/conversation.ts";
import type { ChatTemplate, RenderOptions } from "../template/chat-template.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { encodeRendered } from "./encode-conversation.ts";

/**
 * The prompt from which the model answers next: the same text and the same tokens that stand before an answer in training.
 * @param messages the chat so far, without the answer
 * @throws FtError "data" with the template's message where it refuses the chat
 */
export function renderPrompt(
  tokenizer: Tokenizer,
  template: ChatTemplate,
  messages: readonly Message[],
  options: Pick<RenderOptions, "tools"> = {},
): { text: string; ids: number[] } {
  const text = template.render(messages, { ...options, addGenerationPrompt: true });
  return { text, ids: encodeRendered(tokenizer, text).ids };
}
