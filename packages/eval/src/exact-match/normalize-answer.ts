import { removePunctuation } from "../tokenizers/punctuation.ts";
import { splitWords } from "../tokenizers/words.ts";

// Python's \b knows the letters and digits of all scripts, JavaScript's those of ASCII.
const article = /(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu;

/** An answer as SQuAD 1.1 compares it: lower case, no ASCII punctuation, no articles, single spaces (Rajpurkar et al., 2016). */
export function normalizeAnswer(text: string): string {
  return splitWords(removePunctuation(text.toLowerCase()).replace(article, " ")).join(" ");
}
