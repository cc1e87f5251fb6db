import { join } from "node:path";
import { chatTemplateOf, type Tokenizer } from "@ft/data";
import { type Modelfile, modelfile } from "@ft/export";
import type { LlamaConfig } from "@ft/models";
import type { Use } from "./card.ts";
import { quoted } from "./shell.ts";

/** A Modelfile with the model's template, where it has a counterpart, and the texts at which answers end. */
export function ollamaFile(
  tokenizer: Tokenizer,
  { eosTokenIds }: LlamaConfig,
  files: { readonly from: string; readonly adapter?: string },
): Modelfile {
  const template = chatTemplateOf(tokenizer);
  const ends = new Set([...eosTokenIds, ...tokenizer.stopIds]);
  const { addsBos, bosId } = tokenizer;
  const bos = addsBos && bosId !== undefined ? tokenizer.tokenOf(bosId) : undefined;
  return modelfile({
    ...files,
    stops: [...ends].flatMap((id) => tokenizer.tokenOf(id) ?? []),
    ...(bos !== undefined && { bos }),
    render: (turns) => template.render(turns, { addGenerationPrompt: true }),
  });
}

/** How a folder with a Modelfile is used. */
export function usedByOllama(name: string, folder: string): Use {
  const own = name.toLowerCase();
  const file = quoted(join(folder, "Modelfile"));
  return { text: "In Ollama:", command: `ollama create ${own} -f ${file} && ollama run ${own}` };
}
