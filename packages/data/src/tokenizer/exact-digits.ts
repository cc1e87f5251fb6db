import { isRecord } from "../rows/conversation.ts";

/**
 * Replaces `Digits` pre-tokenizers by splits on \p{N}. The Rust library that the files are written for takes every numeric
 * character of Unicode for a digit (½, Ⅷ, ٣); @huggingface/tokenizers 0.2 only 0 to 9, which gives other ids.
 */
export function exactDigits(preTokenizer: unknown): unknown {
  if (!isRecord(preTokenizer)) return preTokenizer;
  if (preTokenizer.type === "Sequence" && Array.isArray(preTokenizer.pretokenizers))
    return { ...preTokenizer, pretokenizers: preTokenizer.pretokenizers.map(exactDigits) };
  if (preTokenizer.type !== "Digits") return preTokenizer;
  const pattern = { Regex: preTokenizer.individual_digits === true ? "\\p{N}" : "\\p{N}+" };
  return { type: "Split", pattern, behavior: "Isolated", invert: false };
}
