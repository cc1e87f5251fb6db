/** What a parameter is for. Optimizers treat some roles differently: vectors may go undecayed, Muon takes matrices only. */
export type Role = "matrix" | "vector" | "embedding" | "head" | "adapter";

/** Reads the role off a Hugging Face or PEFT parameter name and its shape: norms and biases are vectors, whatever they are called. */
export function defaultRole(name: string, shape: readonly number[]): Role {
  if (shape.length < 2) return "vector";
  if (/(^|\.)lora_/.test(name)) return "adapter";
  if (/(^|\.)(embed_tokens|wte|word_embeddings)\./.test(name)) return "embedding";
  if (/(^|\.)(lm_head|output)\./.test(name)) return "head";
  return "matrix";
}
