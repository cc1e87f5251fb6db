import { FtError } from "@ft/tensor";
import type { ExportSource } from "../../source/export-source.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An entry of `added_tokens` in tokenizer.json. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** What a model's tokenizer files say, parsed. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly json: JsonObject;
  /** its `model` */
  readonly model: JsonObject;
  /** ids by token, added ones included */
  readonly vocabulary: ReadonlyMap<string, number>;
  readonly added: readonly AddedToken[];
  /** merge rules, best first */
  readonly merges: readonly (readonly [left: string, right: string])[];
  /** tokenizer_config.json over special_tokens_map.json; empty where there are none */
  readonly config: JsonObject;
  readonly generation: JsonObject;
  readonly chatTemplate: string | undefined;
}

/** Errors: "missing" (tokenizer.json), "format" (what is not what it should be, naming the file). */
export function readTokenizerFiles({ files, path }: ExportSource): TokenizerFiles {
  const parse = (name: string): JsonObject | undefined => {
    const bytes = files.get(name);
    if (bytes === undefined) return undefined;
    const value = parseJson(bytes, name);
    if (isObject(value)) return value;
    throw wrong(name, "is not an object");
  };
  const json = parse("tokenizer.json");
  if (json === undefined)
    throw new FtError(
      "missing",
      `[exportGguf] ${path} has no tokenizer.json`,
      "put the model's tokenizer.json (Hugging Face's fast tokenizer) there, or write the file without a tokenizer",
    );
  const { model } = json;
  if (!isObject(model) || !isObject(model.vocab)) throw wrong("tokenizer.json", "has no model with a vocabulary");
  const added = addedTokens(json);
  const vocabulary = new Map<string, number>();
  for (const [token, id] of Object.entries(model.vocab)) {
    if (!Number.isSafeInteger(id) || Number(id) < 0) throw wrong("tokenizer.json", `gives "${token}" the id ${id}`);
    vocabulary.set(token, Number(id));
  }
  for (const { content, id } of added) vocabulary.set(content, id);
  const config = { ...parse("special_tokens_map.json"), ...parse("tokenizer_config.json") };
  const jinja = files.get("chat_template.jinja");
  return {
    ...{ json, model, vocabulary, added, config, merges: mergesOf(model) },
    generation: parse("generation_config.json") ?? {},
    chatTemplate: jinja ? Buffer.from(jinja).toString() : chatTemplateIn(config.chat_template),
  };
}

/** What tokenizer.json does to a text before it is cut, step by step. */
export function normalizerSteps({ normalizer }: JsonObject): unknown[] {
  const steps = isObject(normalizer) && normalizer.type === "Sequence" ? normalizer.normalizers : normalizer;
  return [steps ?? []].flat();
}

/** A step of tokenizer.json that llama.cpp has not. */
export function noCounterpart(part: string, value: unknown, known: string): FtError {
  return new FtError(
    "unsupported",
    `[exportGguf] tokenizer.json: the ${part} ${JSON.stringify(value)?.slice(0, 300)} has no counterpart in llama.cpp`,
    known,
  );
}

export function wrong(file: string, what: string): FtError {
  return new FtError("format", `[exportGguf] ${file} ${what}`, "use the file that came with the model");
}

function parseJson(bytes: Uint8Array, name: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw new FtError("format", `[exportGguf] ${name} is no JSON (${cause})`, "use the file that came with the model", {
      cause,
    });
  }
}

function addedTokens({ added_tokens: list }: JsonObject): AddedToken[] {
  return (Array.isArray(list) ? list : []).map((token: unknown) => {
    if (!isObject(token) || typeof token.content !== "string" || !Number.isSafeInteger(token.id))
      throw wrong("tokenizer.json", `has the added token ${JSON.stringify(token)}`);
    return { id: Number(token.id), content: token.content, special: token.special === true };
  });
}

/** Older files write a rule as one string, newer ones as two. */
function mergesOf({ merges }: JsonObject): [string, string][] {
  return (Array.isArray(merges) ? merges : []).map((rule: unknown) => {
    const [left, right, more] = typeof rule === "string" ? rule.split(" ") : Array.isArray(rule) ? rule : [];
    if (typeof left === "string" && typeof right === "string" && more === undefined) return [left, right];
    throw wrong("tokenizer.json", `has the merge rule ${JSON.stringify(rule)}`);
  });
}

/** One template, or several by name, of which "default" is for chat. */
function chatTemplateIn(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.filter(isObject).find(({ name }) => name === "default");
  return typeof named?.template === "string" ? named.template : undefined;
}
