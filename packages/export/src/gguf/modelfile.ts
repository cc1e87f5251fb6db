import { FtError } from "@ft/tensor";
import { chatFormat } from "./chat-formats.ts";

/** A turn of a chat, as chat templates take it. */
export interface ChatTurn {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** What Ollama's Modelfile says. */
export interface ModelfileOptions {
  /** the .gguf file, as a path from the Modelfile's folder: "./model.gguf"; or a model that Ollama knows */
  readonly from: string;
  /** a LoRA adapter as .gguf, likewise */
  readonly adapter?: string;
  /**
   * the model's own chat template, applied to turns and ending where the assistant begins. Given that, a template in Ollama's language is
   * written if one is known that gives the same texts.
   */
  readonly render?: (turns: readonly ChatTurn[]) => string;
  /** text of the token that llama.cpp puts in front of every prompt; templates of Ollama leave it out */
  readonly bos?: string;
  /** texts at which an answer ends: those of the model's stop ids, left out where they are no single line */
  readonly stops?: readonly string[];
  /** the system message where a chat brings none; the model's template's own unless given */
  readonly system?: string;
  /** PARAMETER lines: num_ctx, temperature, … */
  readonly parameters?: Readonly<Record<string, number | string>>;
}

/** A Modelfile for `ollama create`, and whether its TEMPLATE was known. */
export interface Modelfile {
  readonly text: string;
  /** false: Ollama is left to find a template by the one in the .gguf file */
  readonly hasTemplate: boolean;
}

/** Writes an Ollama Modelfile. What its syntax cannot hold of the model's own, a stop or the system message of its template, is left out
 * with a comment that says so. Errors: "input" (the same of what else was given). Reference: docs/modelfile.md of Ollama. */
export function modelfile(options: ModelfileOptions): Modelfile {
  const { from, adapter, render, bos, stops = [], parameters = {} } = options;
  const format = render ? chatFormat(render, bos ?? "") : undefined;
  const lines = [
    `FROM ${oneLine("the model's path", from)}`,
    ...(adapter === undefined ? [] : [`ADAPTER ${oneLine("the adapter's path", adapter)}`]),
    ...(format
      ? [`TEMPLATE ${quoted("the template", format.template)}`]
      : [
          "# No TEMPLATE: the model's chat template has no known counterpart in Ollama's language. Ollama looks for one that resembles",
          "# the template in the .gguf file, and passes prompts as they are where none does: see `ollama show --template`.",
        ]),
    ...(options.system === undefined
      ? ownSystem(format?.system)
      : [`SYSTEM ${quoted("the system message", options.system)}`]),
    ...stops.map(stopLine),
    ...Object.entries(parameters).map(([name, value]) => `PARAMETER ${name} ${oneLine(name, String(value))}`),
  ];
  return { text: `${lines.join("\n")}\n`, hasTemplate: format !== undefined };
}

/** The system message that the model's template adds to chats without one. */
function ownSystem(text: string | undefined): string[] {
  if (text === undefined) return [];
  if (quotable(text)) return [`SYSTEM ${quoted("the system message", text)}`];
  return [
    "# No SYSTEM: Ollama's syntax cannot hold the quotation marks of the system message that the model's chat template adds:",
    `# ${JSON.stringify(text)}`,
  ];
}

function stopLine(stop: string): string {
  const text = JSON.stringify(stop);
  return isLine(stop) ? `PARAMETER stop ${text}` : `# No stop at ${text}: a parameter is one line of text`;
}

function quotable(text: string): boolean {
  return !text.includes('"""') && !text.endsWith('"');
}

function isLine(text: string): boolean {
  return text !== "" && !/[\r\n]/.test(text);
}

function quoted(what: string, text: string): string {
  if (!quotable(text)) throw new FtError("input", `[modelfile] ${what} holds quotation marks that end it`, "reword it");
  return `"""${text}"""`;
}

function oneLine(what: string, text: string): string {
  if (!isLine(text))
    throw new FtError("input", `[modelfile] ${what} is ${JSON.stringify(text)}`, "give one line of text");
  return text;
}
