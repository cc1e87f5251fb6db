import { isPunctuation } from "../tokenizers/punctuation.ts";
import { splitWords } from "../tokenizers/words.ts";

/**
 * The words of chrF++: at white space, and one ASCII punctuation mark apart from the end of a word, or else from its start, so
 * that "(hi)" is "(hi" and ")".
 */
export function chrfWords(text: string): string[] {
  return splitWords(text).flatMap((word) => {
    if (word.length === 1) return [word];
    if (isPunctuation(word.charCodeAt(word.length - 1))) return [word.slice(0, -1), word.slice(-1)];
    if (isPunctuation(word.charCodeAt(0))) return [word.slice(0, 1), word.slice(1)];
    return [word];
  });
}
