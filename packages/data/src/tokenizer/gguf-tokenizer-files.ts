import { ggufTokenizerParts } from "./gguf-tokenizer.ts";

/**
 * The tokenizer of a GGUF file as the files of a Hugging Face folder, by name: tokenizer.json, tokenizer_config.json,
 * generation_config.json and, where there is one, chat_template.jinja. Errors: as tokenizerFromGguf.
 */
export function tokenizerFilesFromGguf(metadata: ReadonlyMap<string, unknown>): ReadonlyMap<string, Uint8Array> {
  const { json, settings } = ggufTokenizerParts(metadata);
  const { specialTokens, addsBos, stopIds, chatTemplate } = settings;
  const id = (key: string): number | undefined => {
    const value = metadata.get(`tokenizer.ggml.${key}_token_id`);
    return typeof value === "number" ? value : undefined;
  };
  const [bos, eos, pad] = [id("bos"), id("eos"), id("padding")];
  const ends = [...new Set([...(eos === undefined ? [] : [eos]), ...stopIds])];
  const bosToken = specialTokens.bos_token;
  const postProcessor =
    addsBos && bosToken !== undefined && bos !== undefined ? { post_processor: withBos(bosToken, bos) } : {};
  const files = new Map<string, Uint8Array>();
  const put = (name: string, value: unknown): void => {
    files.set(name, Buffer.from(`${JSON.stringify(value, null, 2)}\n`));
  };
  put("tokenizer.json", {
    ...{ version: "1.0", truncation: null, padding: null, normalizer: null, pre_tokenizer: null, decoder: null },
    post_processor: null,
    ...json,
    ...postProcessor,
  });
  put("tokenizer_config.json", {
    tokenizer_class: "PreTrainedTokenizerFast",
    ...specialTokens,
    add_bos_token: addsBos,
    clean_up_tokenization_spaces: false,
    ...(chatTemplate !== undefined && { chat_template: chatTemplate }),
  });
  put("generation_config.json", {
    ...(bos !== undefined && { bos_token_id: bos }),
    ...(ends.length > 0 && { eos_token_id: ends.length === 1 ? ends[0] : ends }),
    ...(pad !== undefined && { pad_token_id: pad }),
  });
  if (chatTemplate !== undefined) files.set("chat_template.jinja", Buffer.from(chatTemplate));
  return files;
}

/** Puts BOS in front of every text, as Hugging Face's TemplateProcessing writes it. */
function withBos(token: string, id: number): Record<string, unknown> {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const text = (name: string, type: number) => ({ Sequence: { id: name, type_id: type } });
  return {
    type: "TemplateProcessing",
    single: [special, text("A", 0)],
    pair: [special, text("A", 0), { SpecialToken: { id: token, type_id: 1 } }, text("B", 1)],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
