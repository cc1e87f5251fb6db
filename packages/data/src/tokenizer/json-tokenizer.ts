import { FtError } from "@ft/tensor";
import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { isRecord } from "../rows/conversation.ts";
import { exactDigits } from "./exact-digits.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** What stands beside tokenizer.json and decides how it is used. */
export interface TokenizerSettings {
  /** Names the tokenizer in messages: a file or "GGUF metadata". */
  readonly name: string;
  /** bos_token, eos_token, pad_token, unk_token. */
  readonly specialTokens: Readonly<Record<string, string>>;
  readonly chatTemplate?: string;
  /** Whether BOS is put in front; left out, the post-processor of tokenizer.json decides. */
  readonly addsBos?: boolean;
  /** Ids that stop generation besides the end of text. */
  readonly stopIds?: readonly number[];
  /** What the library itself reads of tokenizer_config.json. */
  readonly libraryConfig?: Readonly<Record<string, unknown>>;
}

const models = ["BPE", "WordPiece", "Unigram"];
const advice = "use the tokenizer.json that came with the model";

/**
 * A tokenizer from the parsed content of a tokenizer.json (Hugging Face tokenizers' format), run by @huggingface/tokenizers.
 * @throws FtError "format" where the content is not a tokenizer
 */
export function tokenizerFromJson(json: unknown, settings: TokenizerSettings): Tokenizer {
  const { name, specialTokens, chatTemplate } = settings;
  if (!isRecord(json) || !isRecord(json.model)) {
    throw new FtError("format", `${name}: has no "model" object, so it is not a tokenizer.json`, advice);
  }
  const { type } = json.model;
  // The library takes a type that it does not know for a plain word list.
  if (typeof type === "string" && !models.includes(type)) {
    throw new FtError("unsupported", `${name}: model type ${JSON.stringify(type)}`, `known are ${models.join(", ")}`);
  }
  const complete = {
    added_tokens: [],
    normalizer: null,
    post_processor: null,
    decoder: null,
    ...json,
    pre_tokenizer: exactDigits(json.pre_tokenizer ?? null),
  };
  const library = guard(name, "cannot be used", () => new LibraryTokenizer(complete, settings.libraryConfig ?? {}));

  let vocabSize = 0;
  for (const id of library.get_vocab().values()) vocabSize = Math.max(vocabSize, id + 1);
  if (vocabSize === 0) throw new FtError("format", `${name}: the vocabulary is empty`, advice);
  const special = new Set<number>();
  for (const [id, token] of library.get_added_tokens_decoder()) if (token.special) special.add(id);
  const idOf = (token: string | undefined): number | undefined => {
    return token === undefined ? undefined : library.token_to_id(token);
  };
  const bosId = idOf(specialTokens.bos_token);
  const eosId = idOf(specialTokens.eos_token);
  const padId = idOf(specialTokens.pad_token);
  for (const id of [bosId, eosId, padId]) if (id !== undefined) special.add(id);

  const encode = (text: string, withSpecial: boolean): number[] =>
    guard(name, "cannot encode this text", () => library.encode(text, { add_special_tokens: withSpecial }).ids);
  const addsBos =
    settings.addsBos ?? (bosId !== undefined && encode("a", true)[0] === bosId && encode("a", false)[0] !== bosId);
  const stopIds = new Set([...(eosId === undefined ? [] : [eosId]), ...(settings.stopIds ?? [])]);

  return {
    vocabSize,
    ...(bosId === undefined ? {} : { bosId }),
    ...(eosId === undefined ? {} : { eosId }),
    ...(padId === undefined ? {} : { padId }),
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
    addsBos,
    stopIds: [...stopIds],
    specialTokens,
    encode(text, options = {}) {
      const withSpecial = options.addSpecialTokens ?? true;
      const ids = encode(text, withSpecial);
      if (ids.some((id) => id === undefined)) {
        throw new FtError(
          "format",
          `${name}: the text has characters outside the vocabulary, and there is no unknown token`,
          advice,
        );
      }
      const front = withSpecial && bosId !== undefined && settings.addsBos !== undefined;
      if (front && addsBos && ids[0] !== bosId) ids.unshift(bosId);
      else if (front && !addsBos && ids[0] === bosId && encode(text, false)[0] !== bosId) ids.shift();
      return ids;
    },
    decode(ids, options = {}) {
      const kept = Array.from(ids).filter((id) => !(options.skipSpecialTokens && special.has(id)));
      if (kept.length === 0) return "";
      const unknown = kept.find((id) => library.id_to_token(id) === undefined);
      if (unknown !== undefined) {
        throw new FtError("input", `${name}: token id ${unknown} is not in the vocabulary of ${vocabSize}`, advice);
      }
      return library.decode(kept, { clean_up_tokenization_spaces: false });
    },
    idOf,
    tokenOf: (id) => library.id_to_token(id),
    isSpecial: (id) => special.has(id),
  };
}

/** Runs a call of the library; whatever it throws becomes an FtError that names the tokenizer. */
function guard<T>(name: string, problem: string, call: () => T): T {
  try {
    return call();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FtError("format", `${name}: ${problem} (${reason})`, advice, { cause });
  }
}
