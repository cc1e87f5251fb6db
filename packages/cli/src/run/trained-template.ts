import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type ChatTemplate, chatTemplateOf, type Tokenizer } from "@ft/data";
import { FtError } from "@ft/tensor";
import { writeFileAtomic } from "@ft/weights";
import { exists } from "./exists.ts";

const fileName = "chat_template.jinja";

/** Puts the template that a result was trained with into its folder, unless it is the one that the base's tokenizer has. */
export async function keepTemplate(folder: string, { source }: ChatTemplate, tokenizer: Tokenizer): Promise<void> {
  if (source !== tokenizer.chatTemplate) await writeFileAtomic(join(folder, fileName), source);
}

/** The template in an adapter's folder; undefined where it was trained with its base's own. */
export async function trainedTemplate(adapter: string): Promise<string | undefined> {
  const file = join(adapter, fileName);
  return (await exists(file)) ? readFile(file, "utf8") : undefined;
}

/** A base's tokenizer with the template of an adapter over it, where that has one of its own. */
export function withTemplate(tokenizer: Tokenizer, chatTemplate: string | undefined): Tokenizer {
  return chatTemplate === undefined ? tokenizer : { ...tokenizer, chatTemplate };
}

/** One template for several adapters and their base: the one that they were trained with. Code "config" where they differ. */
export async function commonTemplate(tokenizer: Tokenizer, adapters: readonly string[]): Promise<ChatTemplate> {
  const [template, ...others] = new Set(await Promise.all(adapters.map(trainedTemplate)));
  if (others.length > 0)
    throw new FtError(
      "config",
      "the adapters were trained with different chat templates",
      "choose one for all with --chat-template, or evaluate them one by one",
    );
  return chatTemplateOf(withTemplate(tokenizer, template));
}
