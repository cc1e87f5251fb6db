import { basename, join } from "node:path";
import { isRepoId, readJsonFile } from "@ft/weights";
import { exists } from "../run/exists.ts";
import { version } from "../version.ts";

/** What a model card is made of. */
export interface CardFacts {
  /** as it was given: an id on the hub, a folder or a file */
  readonly base: string;
  readonly adapter: string | undefined;
  /** "float16 safetensors, adapter merged" */
  readonly form: string;
  /** how it is used elsewhere: a line of text and a command */
  readonly use?: { readonly text: string; readonly command: string };
  /** lines on what was checked and measured */
  readonly checks: readonly string[];
}

/** README.md of an export: what it is, what it was trained on and how, and what a check found. Local paths are left out. */
export async function modelCard({ base, adapter, form, use, checks }: CardFacts): Promise<string> {
  const name = isRepoId(base) ? base : basename(base);
  const front = [
    "---",
    ...(isRepoId(base) ? [`base_model: ${base}`] : []),
    "library_name: transformers",
    "pipeline_tag: text-generation",
    `tags: [ft${adapter === undefined ? "" : ", lora, fine-tuned"}]`,
    "---",
  ];
  const recipe = adapter === undefined ? [] : await recipeOf(adapter);
  const title = adapter === undefined ? name : `${name}, fine-tuned`;
  const sections = [
    [`# ${title}`, "", `${form}. Written by ft ${version}.`],
    ...(recipe.length > 0 ? [["## Training", "", "| | |", "|---|---|", ...recipe]] : []),
    ...(use ? [["## Use", "", use.text, "", "```sh", use.command, "```"]] : []),
    ["## Checks", "", ...checks.map((line) => `- ${line}`)],
  ];
  return `${front.join("\n")}\n\n${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** Rows of a table, from the run that the adapter lies in. */
async function recipeOf(adapter: string): Promise<string[]> {
  const file = join(adapter, "..", "run.json");
  if (!(await exists(file))) return [];
  const config: Record<string, unknown> = Object(Object(await readJsonFile(file)).config);
  const row = (name: string, value: unknown): string[] =>
    value === undefined || value === null
      ? []
      : [`| ${name} | ${typeof value === "object" ? JSON.stringify(value) : value} |`];
  return [
    ...row("method", config.method),
    ...row("data", typeof config.data === "string" ? basename(config.data) : undefined),
    ...row("epochs", config.epochs),
    ...row("steps at most", config.maxSteps),
    ...row("batch", config.batchSize),
    ...row("optimizer", config.optimizer),
    ...row("learning rate", config.learningRate),
    ...row("schedule", config.schedule),
    ...row("longest row", config.maxLength),
    ...row("LoRA", config.lora),
    ...row("quantisation", config.quantization),
    ...row("seed", config.seed),
  ];
}
