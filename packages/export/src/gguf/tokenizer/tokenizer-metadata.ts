import { FtError } from "@ft/tensor";
import type { ExportSource } from "../../source/export-source.ts";
import { byteLevelMetadata } from "./byte-level.ts";
import { sentencePieceMetadata } from "./sentencepiece.ts";
import { type SpecialTokenMetadata, specialTokenMetadata } from "./special-tokens.ts";
import { tokenList } from "./token-list.ts";
import { noCounterpart, readTokenizerFiles } from "./tokenizer-files.ts";

/**
 * tokenizer.*: a model's tokenizer as llama.cpp reads it, made of tokenizer.json and what stands beside it. Errors: "missing" (no
 * tokenizer.json), "format", "data" (ids that do not fit the model), "unsupported" (a tokenizer that llama.cpp has not, or not known here).
 */
export function tokenizerMetadata(source: ExportSource): SpecialTokenMetadata {
  const files = readTokenizerFiles(source);
  const { type, byte_fallback: byteFallback } = files.model;
  if (type !== undefined && type !== "BPE")
    throw new FtError(
      "unsupported",
      `[exportGguf] tokenizer.json: a model of type ${JSON.stringify(type)}`,
      "only \"BPE\" (byte-level, or SentencePiece's) is written; convert with llama.cpp's convert_hf_to_gguf.py",
    );
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    const mark = files.model[key] ?? "";
    if (mark !== "") throw noCounterpart(key, mark, "its tokens are pieces of text without marks");
  }
  const list = tokenList(files, source.config.vocabSize);
  const own = byteFallback === true ? sentencePieceMetadata(files, list) : byteLevelMetadata(files, list);
  const { entries, droppedEndIds } = specialTokenMetadata(files, source.config);
  return { entries: [...own, ...entries], droppedEndIds };
}
