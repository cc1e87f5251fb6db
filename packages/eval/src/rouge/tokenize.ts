import { porterStem } from "../stem/porter.ts";

/** Cuts a text into the words that ROUGE compares. */
export type RougeTokenizer = (text: string) => readonly string[];

const kept = 50_000;

/**
 * rouge_score's tokenizer: runs of a-z and 0-9 after lower-casing, everything else is a break; with a stemmer, words of more
 * than 3 letters are stemmed.
 */
export function rougeWords(stem?: (word: string) => string): RougeTokenizer {
  if (stem === undefined) return words;
  const known = new Map<string, string>();
  const stemmed = (word: string): string => {
    if (word.length <= 3) return word;
    let found = known.get(word);
    if (found === undefined) {
      found = stem(word);
      if (known.size < kept) known.set(word, found);
    }
    return found;
  };
  return (text) => words(text).map(stemmed);
}

/** NLTK's Porter stems, as rouge_score's use_stemmer=True. */
export function rougeStems(): RougeTokenizer {
  return rougeWords(porterStem);
}

function words(text: string): string[] {
  return text.toLowerCase().match(/[a-z0-9]+/g) ?? [];
}

/** For Chinese and Japanese, of which rouge_score's tokenizer sees nothing: every such character is a word, other letters and digits as runs. */
export const rougeCharacters: RougeTokenizer = (text) => text.toLowerCase().match(characters) ?? [];

const characters =
  /\p{sc=Han}|\p{sc=Hiragana}|\p{sc=Katakana}|(?:(?!\p{sc=Han}|\p{sc=Hiragana}|\p{sc=Katakana})[\p{L}\p{N}])+/gu;
