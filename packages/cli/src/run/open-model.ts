import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ChatTemplate, chatTemplateOf, checkVocabulary, loadTokenizer, type Tokenizer } from "@ft/data";
import { type LoraAdapter, loadAdapter } from "@ft/lora";
import { type Llama, loadModel } from "@ft/models";
import { type Backend, type FloatDType, FtError } from "@ft/tensor";
import { exists } from "./exists.ts";
import { storedFormat } from "./stored-format.ts";
import { trainedTemplate, withTemplate } from "./trained-template.ts";

/** The template that turns messages into text: the tokenizer's own unless a file replaces it. */
export async function openTemplate(tokenizer: Tokenizer, file?: string): Promise<ChatTemplate> {
  if (file === undefined) return chatTemplateOf(tokenizer);
  const source = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new FtError("missing", `${file} cannot be read`, "give a Jinja file", { cause });
  });
  return new ChatTemplate(source.replace(/^\uFEFF/, ""), { name: file, specialTokens: tokenizer.specialTokens });
}

/** A model ready to answer: weights, adapter if any, tokenizer, template, stop ids. */
export interface OpenModel extends Disposable {
  readonly model: Llama;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly adapter: LoraAdapter | undefined;
  readonly stopIds: readonly number[];
}

export interface OpenModelOptions {
  readonly backend: Backend;
  readonly adapter?: string | undefined;
  readonly chatTemplate?: string | undefined;
  /** what activations are computed in, and matrices held in that the file has wider; f32 when absent */
  readonly dtype?: FloatDType | undefined;
}

/** A run's folder in place of what it saved is an easy slip: what it holds under this name is meant. */
export async function savedIn(path: string, name: "adapter" | "model"): Promise<string> {
  const [inside, own] = [join(path, name), name === "adapter" ? "adapter_config.json" : "config.json"];
  return (await exists(inside)) && !(await exists(join(path, own))) ? inside : path;
}

/** Loads a model and all that belongs to it; checks that the tokenizer fits. Takes the folder of a run for its result. */
export async function openModel(given: string, options: OpenModelOptions): Promise<OpenModel> {
  const path = await savedIn(given, "model");
  const folder = options.adapter === undefined ? undefined : await savedIn(options.adapter, "adapter");
  const trained = folder === undefined ? undefined : await trainedTemplate(folder);
  const tokenizer = withTemplate(await loadTokenizer(path), trained);
  const template = await openTemplate(tokenizer, options.chatTemplate);
  const format = await storedFormat(path);
  const { backend, dtype } = options;
  const model = await loadModel(path, {
    backend,
    weights: "narrowed",
    ...(format && { format }),
    ...(dtype && { dtype }),
  });
  try {
    checkVocabulary(tokenizer, model.config.vocabSize, path);
    const adapter = folder === undefined ? undefined : await loadAdapter(model, folder);
    const stopIds = [...new Set([...model.config.eosTokenIds, ...tokenizer.stopIds])];
    return { model, tokenizer, template, adapter, stopIds, [Symbol.dispose]: () => model.dispose() };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
