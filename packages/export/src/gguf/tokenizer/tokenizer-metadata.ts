import { FtError } from "@ft/tensor";
import type { GgufValue } from "@ft/weights";
import type { ExportSource } from "../../source/export-source.ts";
import { byteLevelMetadata } from "./byte-level.ts";
import { sentencePieceMetadata } from "./sentencepiece.ts";
import { specialTokenMetadata } from "./special-tokens.ts";
import { tokenList } from "./token-list.ts";
import { readTokenizerFiles } from "./tokenizer-files.ts";

/**
 * tokenizer.*: a model's tokenizer as llama.cpp reads it, made of tokenizer.json and what stands beside it. Errors: "missing" (no
 * tokenizer.json), "format", "data" (ids that do not fit the model), "unsupported" (a tokenizer that llama.cpp has not, or not known here).
 */
export function tokenizerMetadata(source: ExportSource): [string, GgufValue][] {
  const files = readTokenizerFiles(source);
  const { type, byte_fallback: byteFallback } = files.model;
  if (type !== undefined && type !== "BPE")
    throw new FtError(
      "unsupported",
      `[exportGguf] tokenizer.json: a model of type ${JSON.stringify(type)}`,
      "only \"BPE\" (byte-level, or SentencePiece's) is written; convert with llama.cpp's convert_hf_to_gguf.py",
    );
  const list = tokenList(files, source.config.vocabSize);
  return [
    ...(byteFallback === true ? sentencePieceMetadata(files, list) : byteLevelMetadata(files, list)),
    ...specialTokenMetadata(files, source.config),
  ];
}
