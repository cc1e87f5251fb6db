const tokenizerFiles: readonly string[] = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "tokenizer.model",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
];

/** What a model, its tokenizer or its config alone is loaded from; an adapter likewise. Pickled and ONNX copies are left where they are. */
export const usedFiles: { readonly [K in "config" | "tokenizer" | "model"]: readonly string[] } = {
  config: ["config.json"],
  tokenizer: tokenizerFiles,
  model: [...tokenizerFiles, "adapter_config.json", "*.safetensors", "*.safetensors.index.json"],
};

/** Copies of the same weights for other programs: in folders, or as the original authors' checkpoint. */
export const unusedFiles: readonly string[] = ["*/*", "consolidated*.safetensors"];
