import type { GgufValue } from "@ft/weights";
import type { TokenList } from "./token-list.ts";
import { isObject, type JsonObject, noCounterpart, normalizerSteps, type TokenizerFiles } from "./tokenizer-files.ts";

/**
 * Byte-level BPE as `tokenizer.ggml.model` "gpt2". Errors: "unsupported" (a pre-tokenizer that llama.cpp has no name for here, a
 * normalizer or a way of merging that it has not under that name).
 */
export function byteLevelMetadata(files: TokenizerFiles, { tokens, types }: TokenList): [string, GgufValue][] {
  const pre = preTokenizerName(files);
  checkNormalizer(files.json, pre);
  if (files.model.ignore_merges === true && pre !== "llama-bpe")
    throw noCounterpart(
      "ignore_merges",
      true,
      `it does so with the words of Llama 3 only, these are those of "${pre}"`,
    );
  const merges = files.merges.map(([left, right]) => `${asByte(left)} ${asByte(right)}`);
  return [
    ["tokenizer.ggml.model", ["string", "gpt2"]],
    ["tokenizer.ggml.pre", ["string", pre]],
    ["tokenizer.ggml.tokens", ["string[]", tokens]],
    ["tokenizer.ggml.token_type", ["i32[]", types]],
    ["tokenizer.ggml.merges", ["string[]", merges]],
  ];
}

/** A space inside a part would end it; the byte-level alphabet's sign for it is Ġ. */
function asByte(part: string): string {
  return part.replaceAll(" ", "Ġ");
}

const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const rest = " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
/** The expression that Llama 3 and Qwen 2 cut words by, which take other numbers of digits together. */
const words = (digits: string): string => `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}|${rest}`;

/**
 * llama.cpp's name for the way in which words are cut, by the pre-tokenizer itself: its converter recognises models by a hash of a
 * text's tokens, which knows released models only.
 */
function preTokenizerName({ json, model }: TokenizerFiles): string {
  const { pre_tokenizer: preTokenizer } = json;
  const steps = stepsOf(preTokenizer);
  const last = steps.at(-1);
  if (last?.type === "ByteLevel" && last.add_prefix_space !== true) {
    const [first] = steps;
    const ownWords = last.use_regex !== false;
    if (steps.length === 1 && ownWords) return "gpt-2";
    if (steps.length === 2 && ownWords && splitsDigits(first)) return "smollm";
    const regex = steps.length === 2 && !ownWords ? splitRegex(first) : undefined;
    if (regex === words("\\p{N}{1,3}")) return model.ignore_merges === true ? "llama-bpe" : "dbrx";
    if (regex === words("\\p{N}")) return "qwen2";
  }
  throw noCounterpart(
    "pre_tokenizer",
    preTokenizer,
    "known here are those of GPT-2, Llama 3, Qwen 2 and SmolLM; convert with llama.cpp's convert_hf_to_gguf.py",
  );
}

/**
 * llama.cpp changes no letter of a text under any of these names. Every Qwen asks for NFC all the same, and is converted without: text
 * that is not in that form (an e followed by its accent) is cut into other tokens there. All other text is in that form already.
 */
function checkNormalizer(json: JsonObject, pre: string): void {
  for (const step of normalizerSteps(json)) {
    if (pre === "qwen2" && isObject(step) && step.type === "NFC") continue;
    throw noCounterpart("normalizer", step, `with the words of "${pre}" it takes texts as they are`);
  }
}

function stepsOf(preTokenizer: unknown): JsonObject[] {
  if (!isObject(preTokenizer)) return [];
  if (preTokenizer.type !== "Sequence") return [preTokenizer];
  const { pretokenizers: steps } = preTokenizer;
  return Array.isArray(steps) ? steps.filter(isObject) : [];
}

/** The expression of a Split that keeps its matches as words. */
function splitRegex(step: JsonObject | undefined): string | undefined {
  if (step?.type !== "Split" || step.behavior !== "Isolated" || step.invert === true) return undefined;
  const { pattern } = step;
  return isObject(pattern) && typeof pattern.Regex === "string" ? pattern.Regex : undefined;
}

function splitsDigits(step: JsonObject | undefined): boolean {
  return (step?.type === "Digits" && step.individual_digits === true) || splitRegex(step) === "\\p{N}";
}
