import { FtError } from "@ft/tensor";
import type { CausalLm } from "../causal-lm.ts";

/** Throws code "input" when a prompt is empty, fills the context, or has ids that the model does not know. */
export function checkPrompt(model: CausalLm, prompt: readonly number[]): void {
  const { maxPositions, vocabSize } = model.config;
  if (prompt.length === 0)
    throw new FtError("input", "[generate] the prompt has no tokens", "pass at least one, such as the model's BOS");
  if (prompt.length >= maxPositions)
    throw new FtError(
      "input",
      `[generate] the prompt has ${prompt.length} tokens, the model's context ${maxPositions}`,
      "shorten the prompt",
    );
  const strange = prompt.find((id) => !Number.isSafeInteger(id) || id < 0 || id >= vocabSize);
  if (strange !== undefined)
    throw new FtError(
      "input",
      `[generate] token ${strange} is not in the vocabulary of ${vocabSize}`,
      "use the tokenizer that belongs to the model",
    );
}
