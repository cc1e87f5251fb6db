/** A Chinese character, a run of letters or digits, or any other single sign: what an n-gram counts. */
const units = /\p{Script=Han}|(?:(?!\p{Script=Han})[\p{L}\p{N}])+|[^\s\p{L}\p{N}]/gu;

/** Every run of `n` units of a text, letters in lower case. White space only separates. */
export function* ngrams(text: string, n: number): Generator<string> {
  const found = text.toLowerCase().match(units) ?? [];
  for (let i = 0; i + n <= found.length; i++) yield found.slice(i, i + n).join(" ");
}
