import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { FtError } from "@ft/tensor";
import { openGguf } from "@ft/weights";
import { isRecord } from "../rows/conversation.ts";
import { decodeUtf8, fileError } from "../rows/read-text.ts";
import { tokenizerFromGguf } from "./gguf-tokenizer.ts";
import { tokenizerFromJson } from "./json-tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";

const tokenNames = ["bos_token", "eos_token", "pad_token", "unk_token"];

/**
 * Loads a model's tokenizer: of a Hugging Face folder, of the path of its tokenizer.json, or of a .gguf file. Beside tokenizer.json it reads, where they
 * exist, tokenizer_config.json, special_tokens_map.json (older models), chat_template.jinja (wins over the one in the
 * configuration) and the end-of-text ids of generation_config.json.
 * @throws FtError "missing" without tokenizer.json; "format" naming the file that is broken
 */
export async function loadTokenizer(model: string): Promise<Tokenizer> {
  const info = await stat(model).catch((cause: unknown) => {
    const error = fileError(cause, model);
    if (error.code !== "missing") throw error;
    throw new FtError("missing", `there is no model at ${model}`, "give a model folder or a .gguf file", { cause });
  });
  if (info.isFile() && model.endsWith(".gguf")) {
    await using source = await openGguf(model);
    return tokenizerFromGguf(source.metadata);
  }
  if (!info.isDirectory() && !model.endsWith(".json"))
    throw new FtError(
      "input",
      `${model} is neither a folder nor a .gguf file`,
      "give the folder that holds config.json",
    );
  const file = info.isDirectory() ? path.join(model, "tokenizer.json") : model;
  const folder = path.dirname(file);
  const json = await readJson(file);
  if (json === undefined) {
    throw new FtError(
      "missing",
      `${file}: no such file`,
      "a model folder needs tokenizer.json (Hugging Face's fast tokenizer)",
    );
  }
  const beside = (name: string): Promise<Record<string, unknown>> => readObject(path.join(folder, name));
  const config = await beside("tokenizer_config.json");
  const specialTokensMap = await beside("special_tokens_map.json");
  const generation = await beside("generation_config.json");

  const specialTokens: Record<string, string> = {};
  for (const name of tokenNames) {
    const text = tokenText(config[name]) ?? tokenText(specialTokensMap[name]);
    if (text !== undefined) specialTokens[name] = text;
  }
  const chatTemplate =
    (await readText(path.join(folder, "chat_template.jinja"))) ?? configTemplate(config.chat_template);
  return tokenizerFromJson(json, {
    name: file,
    specialTokens,
    stopIds: idList(generation.eos_token_id),
    libraryConfig: config,
    ...(typeof config.add_bos_token === "boolean" ? { addsBos: config.add_bos_token } : {}),
    ...(chatTemplate === undefined ? {} : { chatTemplate }),
  });
}

async function readText(file: string): Promise<string | undefined> {
  try {
    return decodeUtf8(await readFile(file), file);
  } catch (error) {
    const problem = fileError(error, file);
    if (problem.code === "missing") return undefined;
    throw problem;
  }
}

async function readJson(file: string): Promise<unknown> {
  const text = await readText(file);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new FtError("format", `${file}: broken JSON (${reason})`, "download the file again", { cause });
  }
}

async function readObject(file: string): Promise<Record<string, unknown>> {
  const value = await readJson(file);
  if (value === undefined) return {};
  if (!isRecord(value)) throw new FtError("format", `${file}: is not a JSON object`, "download the file again");
  return value;
}

/** A special token is written as its text or as an AddedToken object with a `content`. */
function tokenText(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (isRecord(value) && typeof value.content === "string") return value.content;
  return undefined;
}

/** One template, or several by name, of which "default" is for chat. */
function configTemplate(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const named = value.filter(isRecord).find((entry) => entry.name === "default");
  return typeof named?.template === "string" ? named.template : undefined;
}

function idList(value: unknown): number[] {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  return list.filter((id) => typeof id === "number");
}
