import { FtError } from "@ft/tensor";
import { type TokenizerSettings, tokenizerFromJson } from "./json-tokenizer.ts";
import { preTokenization } from "./pre-tokenizers.ts";
import { mergesFromScores } from "./sentencepiece.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** llama.cpp's `tokenizer.ggml.token_type`. */
const tokenType = { unknown: 2, control: 3, userDefined: 4, byte: 6 };

const space = "\u2581";
const advice = "use another GGUF file of the model, or its Hugging Face folder";

/**
 * Builds a tokenizer from the metadata of a GGUF file. `tokenizer.ggml.model` "gpt2" is byte-level BPE (tokens, merges,
 * pre-tokenizer by `tokenizer.ggml.pre`); "llama" is SentencePiece BPE (tokens and scores, byte fallback, a space in front
 * unless `add_space_prefix` is false). Chat template, BOS and end-of-turn ids are taken from the metadata too.
 * @param metadata key-value pairs of the file; arrays may be plain or typed
 * @throws FtError "missing" or "format" naming the key; "unsupported" for another model or pre-tokenizer
 */
export function tokenizerFromGguf(metadata: ReadonlyMap<string, unknown>): Tokenizer {
  const { json, settings } = ggufTokenizerParts(metadata);
  return tokenizerFromJson(json, settings);
}

/** The same, apart: what tokenizer.json would say, and what would stand beside it. */
export function ggufTokenizerParts(metadata: ReadonlyMap<string, unknown>): {
  readonly json: Readonly<Record<string, unknown>>;
  readonly settings: TokenizerSettings & { readonly addsBos: boolean; readonly stopIds: readonly number[] };
} {
  const read = new Reader(metadata);
  const model = read.text("model");
  if (model === undefined) {
    throw new FtError(
      "missing",
      "GGUF metadata: tokenizer.ggml.model is missing",
      "the file carries no tokenizer; use another",
    );
  }
  if (model !== "gpt2" && model !== "llama") {
    const known = `"gpt2" (byte-level BPE) and "llama" (SentencePiece BPE) are known`;
    throw new FtError(
      "unsupported",
      `GGUF metadata: tokenizer.ggml.model is ${JSON.stringify(model)}`,
      `${known}; ${advice}`,
    );
  }
  const tokens = read.strings("tokens") ?? read.fail("tokens", "is missing");
  const types = read.numbers("token_type", tokens.length);
  const json = model === "gpt2" ? byteLevelJson(read, tokens) : sentencePieceJson(read, tokens, types);

  const specialTokens: Record<string, string> = {};
  const ids = new Map<string, number>();
  for (const name of ["bos", "eos", "unknown", "padding", "eot", "eom"]) {
    const id = read.id(`${name}_token_id`, tokens.length);
    if (id !== undefined) ids.set(name, id);
  }
  for (const [name, key] of [
    ["bos", "bos_token"],
    ["eos", "eos_token"],
    ["unknown", "unk_token"],
    ["padding", "pad_token"],
  ] as const) {
    const id = ids.get(name);
    const token = id === undefined ? undefined : tokens[id];
    if (token !== undefined) specialTokens[key] = token;
  }
  const stopIds = [ids.get("eot"), ids.get("eom")].filter((id) => id !== undefined);
  const chatTemplate = metadata.get("tokenizer.chat_template");
  return {
    json: { ...json, added_tokens: addedTokens(tokens, types, new Set(ids.values())) },
    settings: {
      name: "GGUF metadata",
      specialTokens,
      stopIds,
      addsBos: ids.has("bos") && (read.flag("add_bos_token") ?? model === "llama"),
      ...(typeof chatTemplate === "string" ? { chatTemplate } : {}),
    },
  };
}

function addedTokens(tokens: readonly string[], types: ArrayLike<number> | undefined, named: Set<number>): unknown[] {
  return tokens.flatMap((content, id) => {
    const type = types?.[id];
    const special = type === tokenType.control || (types === undefined && named.has(id));
    if (content === "" || !(special || type === tokenType.userDefined)) return [];
    return [{ id, content, special, normalized: false, lstrip: false, rstrip: false, single_word: false }];
  });
}

function vocabulary(tokens: readonly string[]): Record<string, number> {
  // Null prototype: a token may be called "__proto__" or "constructor".
  const vocab: Record<string, number> = Object.create(null);
  tokens.forEach((token, id) => {
    vocab[token] ??= id;
  });
  return vocab;
}

function byteLevelJson(read: Reader, tokens: readonly string[]): Record<string, unknown> {
  const merges = read.strings("merges") ?? read.fail("merges", "is missing");
  const pairs = merges.map((merge, i) => {
    const cut = merge.indexOf(" ", 1);
    if (cut === -1) return read.fail("merges", `holds ${JSON.stringify(merge)} at ${i}, not two tokens`);
    return [merge.slice(0, cut), merge.slice(cut + 1)];
  });
  const { normalizer, preTokenizer, ignoreMerges } = preTokenization(read.text("pre") ?? "default");
  return {
    normalizer,
    pre_tokenizer: preTokenizer,
    model: { type: "BPE", vocab: vocabulary(tokens), merges: pairs, ignore_merges: ignoreMerges, byte_fallback: false },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
  };
}

function sentencePieceJson(
  read: Reader,
  tokens: readonly string[],
  types: ArrayLike<number> | undefined,
): Record<string, unknown> {
  const scores = read.numbers("scores", tokens.length) ?? read.fail("scores", "is missing");
  const aside = [tokenType.unknown, tokenType.control, tokenType.userDefined, tokenType.byte];
  const mergeable = (id: number): boolean => !aside.includes(types?.[id] ?? 1);
  const prefix = read.flag("add_space_prefix") ?? true;
  const unknown = read.id("unknown_token_id", tokens.length);
  const toSpace = { type: "Replace", pattern: { String: " " }, content: space };
  const normalizers = prefix ? [{ type: "Prepend", prepend: space }, toSpace] : [toSpace];
  const decoders: Record<string, unknown>[] = [
    { type: "Replace", pattern: { String: space }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
  ];
  if (prefix) decoders.push({ type: "Strip", content: " ", start: 1, stop: 0 });
  return {
    normalizer: { type: "Sequence", normalizers },
    pre_tokenizer: null,
    model: {
      type: "BPE",
      vocab: vocabulary(tokens),
      merges: mergesFromScores(tokens, scores, mergeable),
      byte_fallback: true,
      fuse_unk: true,
      unk_token: unknown === undefined ? null : tokens[unknown],
    },
    decoder: { type: "Sequence", decoders },
  };
}

/** Reads `tokenizer.ggml.*` with types checked; every complaint names the key. */
class Reader {
  readonly #metadata: ReadonlyMap<string, unknown>;
  constructor(metadata: ReadonlyMap<string, unknown>) {
    this.#metadata = metadata;
  }

  fail(key: string, problem: string): never {
    throw new FtError("format", `GGUF metadata: tokenizer.ggml.${key} ${problem}`, advice);
  }

  text(key: string): string | undefined {
    const value = this.#metadata.get(`tokenizer.ggml.${key}`);
    return value === undefined || typeof value === "string" ? value : this.fail(key, "is not a string");
  }

  flag(key: string): boolean | undefined {
    const value = this.#metadata.get(`tokenizer.ggml.${key}`);
    return value === undefined || typeof value === "boolean" ? value : this.fail(key, "is not a boolean");
  }

  id(key: string, count: number): number | undefined {
    const value = this.#metadata.get(`tokenizer.ggml.${key}`);
    if (value === undefined) return undefined;
    const id = typeof value === "number" || typeof value === "bigint" ? Number(value) : -1;
    // 2^32 - 1 is how converters write "none".
    if (id === 0xffffffff) return undefined;
    return Number.isInteger(id) && id >= 0 && id < count ? id : this.fail(key, `is not one of the ${count} token ids`);
  }

  strings(key: string): string[] | undefined {
    const value = this.#metadata.get(`tokenizer.ggml.${key}`);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) return this.fail(key, "is not an array");
    return value.map((item: unknown, i) =>
      typeof item === "string" ? item : this.fail(key, `is not a string at ${i}`),
    );
  }

  numbers(key: string, count: number): ArrayLike<number> | undefined {
    const value = this.#metadata.get(`tokenizer.ggml.${key}`);
    if (value === undefined) return undefined;
    const list =
      Array.isArray(value) || value instanceof Float32Array || value instanceof Int32Array ? value : undefined;
    if (list === undefined) return this.fail(key, "is not an array of numbers");
    if (list.length !== count) return this.fail(key, `has ${list.length} entries for ${count} tokens`);
    return Float64Array.from(list, (item: unknown, i) =>
      typeof item === "number" ? item : this.fail(key, `is not a number at ${i}`),
    );
  }
}
