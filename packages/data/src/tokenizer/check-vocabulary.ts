import { FtError } from "@ft/tensor";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * Makes sure that every token has a row in the model's embedding. Embeddings may be larger: they are often padded.
 * @param embeddingRows rows of the token embedding
 * @param model names the model in the message
 * @throws FtError "data" where the tokenizer knows more tokens than the model
 */
export function checkVocabulary(tokenizer: Tokenizer, embeddingRows: number, model: string): void {
  if (tokenizer.vocabSize <= embeddingRows) return;
  throw new FtError(
    "data",
    `the tokenizer has ids up to ${tokenizer.vocabSize - 1}, but the embedding of ${model} has ${embeddingRows} rows`,
    "use the tokenizer that came with the model",
  );
}
