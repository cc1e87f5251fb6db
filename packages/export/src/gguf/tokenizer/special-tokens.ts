import type { LlamaConfig } from "@ft/models";
import type { GgufValue } from "@ft/weights";
import { isObject, type JsonObject, type TokenizerFiles } from "./tokenizer-files.ts";

/** What a .gguf file says of special tokens, and what it has no place for. */
export interface SpecialTokenMetadata {
  readonly entries: [string, GgufValue][];
  /** ids that end an answer for the model, beyond the three that a .gguf file has keys for; llama.cpp knows some of them by their texts */
  readonly droppedEndIds: readonly number[];
}

/** Ids of the special tokens, whether a text begins and ends with them, and the chat template. */
export function specialTokenMetadata(files: TokenizerFiles, config: LlamaConfig): SpecialTokenMetadata {
  const id = (name: string): number | undefined => {
    const text = tokenText(files.config[name]);
    return text === undefined ? undefined : files.vocabulary.get(text);
  };
  const bos = id("bos_token") ?? config.bosTokenId;
  const ends = [...new Set([...idList(files.generation.eos_token_id), ...config.eosTokenIds])];
  const eos = id("eos_token") ?? ends[0];
  const others = ends.filter((end) => end !== eos);
  // <|eom_id|> hands over to a tool; whatever else ends an answer is an end of turn for llama.cpp
  const eom = others.find((end) => end === files.vocabulary.get("<|eom_id|>"));
  const turns = others.filter((end) => end !== eom);
  const [eot, another] = turns;
  const ids: readonly (readonly [string, number | undefined])[] = [
    ["bos", bos],
    ["eos", eos],
    ["eot", eot],
    ["eom", eom ?? another],
    ["unknown", id("unk_token")],
    ["padding", id("pad_token")],
  ];
  const { chatTemplate } = files;
  const entries: [string, GgufValue][] = [
    ...ids.flatMap(([name, value]): [string, GgufValue][] =>
      value === undefined ? [] : [[`tokenizer.ggml.${name}_token_id`, ["u32", value]]],
    ),
    ["tokenizer.ggml.add_bos_token", ["bool", addsBos(files, bos)]],
    ...(addsEos(files, eos)
      ? ([["tokenizer.ggml.add_eos_token", ["bool", true]]] satisfies [string, GgufValue][])
      : []),
    ...(chatTemplate === undefined
      ? []
      : ([["tokenizer.chat_template", ["string", chatTemplate]]] satisfies [string, GgufValue][])),
  ];
  return { entries, droppedEndIds: turns.slice(eom === undefined ? 2 : 1) };
}

/** A special token is written as its text, or as an object with its content. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  return isObject(value) && typeof value.content === "string" ? value.content : undefined;
}

function idList(value: unknown): number[] {
  return [value ?? []].flat().filter((id) => typeof id === "number");
}

/** As tokenizer_config.json says, or else the template of the post-processor. */
function addsBos({ config, json }: TokenizerFiles, bos: number | undefined): boolean {
  if (bos === undefined) return false;
  if (typeof config.add_bos_token === "boolean") return config.add_bos_token;
  const { first, ids } = templateOf(json);
  return first !== undefined && ids(first).includes(bos);
}

/** Likewise. */
function addsEos({ config, json }: TokenizerFiles, eos: number | undefined): boolean {
  if (eos === undefined) return false;
  if (typeof config.add_eos_token === "boolean") return config.add_eos_token;
  const { last, ids } = templateOf(json);
  return last !== undefined && ids(last).includes(eos);
}

/** The special tokens around a single text in a TemplateProcessing, and the ids that they stand for. */
function templateOf({ post_processor: processor }: JsonObject): {
  readonly first?: string;
  readonly last?: string;
  readonly ids: (token: string) => unknown[];
} {
  const none = { ids: () => [] };
  if (!isObject(processor)) return none;
  const steps: unknown[] = Array.isArray(processor.processors) ? processor.processors : [processor];
  const template = steps.filter(isObject).find(({ type }) => type === "TemplateProcessing");
  const { single, special_tokens: specials } = template ?? {};
  if (!Array.isArray(single) || !isObject(specials)) return none;
  const nameOf = (part: unknown): string | undefined => {
    const token = isObject(part) ? part.SpecialToken : undefined;
    return isObject(token) && typeof token.id === "string" ? token.id : undefined;
  };
  const [first, last] = [nameOf(single[0]), nameOf(single.at(-1))];
  return {
    ...(first !== undefined && { first }),
    ...(last !== undefined && { last }),
    ids: (token) => {
      const entry = specials[token];
      return isObject(entry) && Array.isArray(entry.ids) ? entry.ids : [];
    },
  };
}
