import { FtError } from "@ft/tensor";

/** Normalizer and pre-tokenizer of a byte-level BPE, as tokenizer.json writes them. */
export interface PreTokenization {
  readonly normalizer: Readonly<Record<string, unknown>> | null;
  readonly preTokenizer: Readonly<Record<string, unknown>>;
  /** Words that are in the vocabulary are taken whole, whatever the merges say. */
  readonly ignoreMerges: boolean;
}

/** The words of Llama 3 and Qwen 2 differ only in how many digits go together. */
function words(digits: string): string {
  const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  const letters = "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
  const symbols = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*";
  const space = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  return `${contraction}|${letters}|${digits}|${symbols}|${space}`;
}

function splitThenBytes(regex: string): Record<string, unknown> {
  return sequence(
    { type: "Split", pattern: { Regex: regex }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  );
}

function sequence(...steps: Record<string, unknown>[]): Record<string, unknown> {
  return { type: "Sequence", pretokenizers: steps };
}

/** GPT-2's own expression is built into the ByteLevel step. */
const gpt2 = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };

const llama3: PreTokenization = {
  normalizer: null,
  preTokenizer: splitThenBytes(words("\\p{N}{1,3}")),
  ignoreMerges: true,
};
const plain: PreTokenization = { normalizer: null, preTokenizer: gpt2, ignoreMerges: false };

/** By the name that GGUF files give in `tokenizer.ggml.pre`. */
const byName: ReadonlyMap<string, PreTokenization> = new Map([
  ["llama-bpe", llama3],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["gpt-2", plain],
  ["default", plain],
  ["qwen2", { normalizer: { type: "NFC" }, preTokenizer: splitThenBytes(words("\\p{N}")), ignoreMerges: false }],
  [
    "smollm",
    {
      normalizer: null,
      preTokenizer: sequence({ type: "Digits", individual_digits: true }, gpt2),
      ignoreMerges: false,
    },
  ],
]);

/**
 * How a byte-level BPE of a GGUF file cuts text into words, by its `tokenizer.ggml.pre`.
 * @throws FtError "unsupported" for a name that is not known: a wrong guess would give other tokens than the model learnt
 */
export function preTokenization(name: string): PreTokenization {
  const known = byName.get(name);
  if (known !== undefined) return known;
  const names = [...byName.keys()].join(", ");
  throw new FtError(
    "unsupported",
    `tokenizer.ggml.pre is ${JSON.stringify(name)}`,
    `known are ${names}; or use a folder with tokenizer.json`,
  );
}
