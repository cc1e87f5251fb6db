import { type Message, renderPrompt } from "@ft/data";
import { type GenerateOptions, generate } from "@ft/models";
import type { OpenModel } from "./open-model.ts";

/** An answer's text as it grows, in pieces that are whole characters. */
export async function* answerPieces(
  { model, tokenizer, template, stopIds }: OpenModel,
  messages: readonly Message[],
  options: GenerateOptions,
): AsyncGenerator<string, void, void> {
  const { ids: prompt } = renderPrompt(tokenizer, template, messages);
  const ids: number[] = [];
  let shown = 0;
  for await (const id of generate(model, prompt, { stopIds, ...options })) {
    ids.push(id);
    const text = tokenizer.decode(ids, { skipSpecialTokens: true });
    // U+FFFD at the end: a character whose last bytes are still to come
    if (text.endsWith("\ufffd")) continue;
    yield text.slice(shown);
    shown = text.length;
  }
  const text = tokenizer.decode(ids, { skipSpecialTokens: true });
  if (text.length > shown) yield text.slice(shown);
}
