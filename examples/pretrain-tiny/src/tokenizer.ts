import { byteSigns, countPieces, trainBpe } from "./bpe.ts";
import type { Row } from "./row.ts";

/** Special tokens, ids from 0 in this order. */
export const specialTokens = ["<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"] as const;

/** A turn is its role's token, the text, and `<|end|>`; nothing else stands between them. */
export const chatTemplate: string =
  "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/** How many rows of the corpus the tokenizer is trained on; more change nothing. */
export const tokenizerRows = 30_000;

/** What a row gives the tokenizer to read. */
export function* tokenizerTexts(rows: Iterable<Row>): Generator<string> {
  for (const { system = "", instruction, input, output } of rows) yield [system, instruction, input, output].join("\n");
}

/** The two files of a Hugging Face tokenizer. */
export interface TokenizerFiles {
  "tokenizer.json": object;
  "tokenizer_config.json": object;
}

/** Trains a byte-level BPE vocabulary of `vocabSize` tokens on `texts`, in the layout that Hugging Face's tokenizers write. */
export function buildTokenizer(texts: Iterable<string>, vocabSize: number, contextLength: number): TokenizerFiles {
  const alphabet = [...byteSigns].sort();
  const merges = trainBpe(countPieces(texts), vocabSize - specialTokens.length - alphabet.length);
  // Two merges may spell the same token; it counts once.
  const tokens = new Set<string>([...specialTokens, ...alphabet, ...merges.map((pair) => pair.join(""))]);
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: specialTokens.map((content, id) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(Array.from(tokens, (token, id) => [token, id])),
        merges,
      },
    },
    "tokenizer_config.json": {
      tokenizer_class: "PreTrainedTokenizerFast",
      pad_token: "<|pad|>",
      eos_token: "<|end|>",
      additional_special_tokens: ["<|system|>", "<|user|>", "<|assistant|>"],
      clean_up_tokenization_spaces: false,
      model_max_length: contextLength,
      chat_template: chatTemplate,
    },
  };
}
