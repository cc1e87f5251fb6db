import { isSpace, splitWords, trim } from "./words.ts";

/** Cuts a text into the tokens that BLEU counts; `name` stands in the signature. */
export interface Tokenizer {
  readonly name: string;
  tokenize(text: string): readonly string[];
}

/** Tokenizers of sacrebleu that need no model. */
export type BleuTokenizer = "13a" | "char" | "intl" | "none" | "zh";

const asciiPunctuation = /[ -&(-+/:-@[-`{-~]/g;

/** What `13a` and `zh` have in common: punctuation apart, but "1,000.5" whole. */
function splitPunctuation(text: string): string[] {
  return splitWords(
    text
      .replace(asciiPunctuation, " $& ")
      .replace(/([^0-9])([.,])/g, "$1 $2 ")
      .replace(/([.,])([^0-9])/g, " $1 $2")
      .replace(/([0-9])-/g, "$1 - "),
  );
}

/** mteval-v13a, the default of WMT: the four entities are unescaped, hyphenated line ends joined. */
function tokenize13a(text: string): string[] {
  let line = text.replaceAll("<skipped>", "").replaceAll("-\n", "").replaceAll("\n", " ");
  if (line.includes("&"))
    line = line.replaceAll("&quot;", '"').replaceAll("&amp;", "&").replaceAll("&lt;", "<").replaceAll("&gt;", ">");
  return splitPunctuation(` ${line} `);
}

/** mteval-v14 with its international switch: Unicode punctuation and symbols apart, but not between digits. */
function tokenizeIntl(text: string): string[] {
  return splitWords(
    text
      .replace(/(\P{N})(\p{P})/gu, "$1 $2 ")
      .replace(/(\p{P})(\P{N})/gu, " $1 $2")
      .replace(/\p{S}/gu, " $& "),
  );
}

/**
 * First and last unit of what sacrebleu takes for Chinese. It writes two of its ranges, meant for characters beyond U+FFFF,
 * with four digits and a fifth character, which makes the first of them 2001-2A6D: curly quotation marks, dashes, arrows and
 * mathematical signs count, the characters of Extension B do not. Equal scores need the same ranges.
 */
const chineseRanges: readonly (readonly [number, number])[] = [
  [0x2001, 0x2a6d],
  [0x2e80, 0x2fdf],
  [0x2ff0, 0x303f],
  [0x3100, 0x312f],
  [0x31a0, 0x31ef],
  [0x3200, 0x4db5],
  [0x4e00, 0x9fbb],
  [0xf900, 0xfa2d],
  [0xfa30, 0xfa6a],
  [0xfa70, 0xfad9],
  [0xfe10, 0xfe1f],
  [0xfe30, 0xfe4f],
  [0xff00, 0xffef],
];

const unit = (code: number): string => `\\u${code.toString(16).padStart(4, "0")}`;
const chinese: RegExp = new RegExp(
  `[${chineseRanges.map(([first, last]) => `${unit(first)}-${unit(last)}`).join("")}]`,
  "g",
);

/** Every Chinese character a token, the rest as in `13a` (entities stay). */
function tokenizeZh(text: string): string[] {
  return splitPunctuation(trim(text).replace(chinese, " $& "));
}

/** Every code point that is not white space. */
function tokenizeChar(text: string): string[] {
  return Array.from(text).filter((character) => !isSpace(character.charCodeAt(0)));
}

/** The tokenizers of sacrebleu 2.6 by their names there. */
export const tokenizers: Readonly<Record<BleuTokenizer, Tokenizer>> = {
  "13a": { name: "13a", tokenize: tokenize13a },
  char: { name: "char", tokenize: tokenizeChar },
  intl: { name: "intl", tokenize: tokenizeIntl },
  none: { name: "none", tokenize: splitWords },
  zh: { name: "zh", tokenize: tokenizeZh },
};
