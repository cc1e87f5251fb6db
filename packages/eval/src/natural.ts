import { createRequire } from "node:module";
import { FtError } from "@ft/tensor";

/** Stemmers of `natural` that fit `rougeWords(stem)`. */
export type NaturalStemmer = "porter" | "lancaster";

/** Tokenizers of `natural` that fit the `tokenizer` option of `rouge` and, as `{ tokenize }`, of `tokenF1`. */
export type NaturalTokenizer = "aggressive" | "treebank" | "word" | "word-punct";

const stemmers: { readonly [N in NaturalStemmer]: string } = {
  porter: "porter_stemmer",
  lancaster: "lancaster_stemmer",
};
const tokenizers: { readonly [N in NaturalTokenizer]: readonly [file: string, name?: string] } = {
  aggressive: ["aggressive_tokenizer"],
  treebank: ["treebank_word_tokenizer"],
  word: ["regexp_tokenizer", "WordTokenizer"],
  "word-punct": ["regexp_tokenizer", "WordPunctTokenizer"],
};

const require = createRequire(import.meta.url);

/** A stemmer of `natural` (a peer: install it yourself). Code "missing" where it is not installed. */
export function naturalStemmer(name: NaturalStemmer = "porter"): (word: string) => string {
  const found = load(`stemmers/${stemmers[name]}`);
  return (word) => String(found.stem(word));
}

/** A tokenizer of `natural`. Code "missing" where it is not installed. */
export function naturalTokenizer(name: NaturalTokenizer = "word"): (text: string) => string[] {
  const [file, inside] = tokenizers[name];
  const found = load(`tokenizers/${file}`);
  const Made = inside === undefined ? found : found[inside];
  const tokenizer = new Made();
  return (text) => Array.from(tokenizer.tokenize(text) ?? [], String);
}

/** One file of natural: its root would load database drivers and the user's .env. It has types for its root alone. */
function load(path: string): any {
  try {
    return require(`natural/lib/natural/${path}`);
  } catch (cause) {
    throw new FtError("missing", "[natural] the package natural is not installed", "npm install natural", { cause });
  }
}
