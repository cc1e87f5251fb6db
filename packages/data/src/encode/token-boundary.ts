import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/**
 * Index of the first token behind a position of the text. Tokenising the beginning alone mostly gives the first tokens of
 * the whole, because special tokens cut the text; where it does not, the two are compared by the length of what they
 * decode to.
 * @param ids tokens of the whole text, without added special tokens
 * @param text the whole text
 * @param position in UTF-16 units
 * @param across what becomes of a token that lies across the position: "before" counts it to what is in front
 */
export function tokenBoundary(
  tokenizer: Tokenizer,
  ids: readonly number[],
  text: string,
  position: number,
  across: "before" | "behind",
): number {
  if (position <= 0) return 0;
  if (position >= text.length) return ids.length;
  const head = tokenizer.encode(text.slice(0, position), { addSpecialTokens: false });
  let shared = 0;
  while (shared < head.length && shared < ids.length && head[shared] === ids[shared]) shared++;
  if (shared === head.length) return shared;
  // Decode from a few tokens earlier, so that a decoder that drops a leading space drops it on both sides.
  const from = Math.max(0, shared - 4);
  const length = (tokens: readonly number[], to: number): number => tokenizer.decode(tokens.slice(from, to)).length;
  const wanted = length(head, head.length);
  let boundary = shared;
  while (boundary < ids.length && length(ids, boundary) < wanted) boundary++;
  return across === "behind" && boundary > shared && length(ids, boundary) > wanted ? boundary - 1 : boundary;
}
