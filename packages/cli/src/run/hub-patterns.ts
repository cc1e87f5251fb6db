import { companionFiles } from "@ft/models";

const tokenizerFiles: readonly string[] = ["config.json", ...companionFiles];

/** What a model, its tokenizer or its config alone is loaded from; an adapter likewise. Pickled and ONNX copies are left where they are. */
export const usedFiles: { readonly [K in "config" | "tokenizer" | "model"]: readonly string[] } = {
  config: ["config.json"],
  tokenizer: tokenizerFiles,
  model: [...tokenizerFiles, "adapter_config.json", "*.safetensors", "*.safetensors.index.json"],
};

/** Copies of the same weights for other programs: in folders, or as the original authors' checkpoint. */
export const unusedFiles: readonly string[] = ["*/*", "consolidated*.safetensors"];
