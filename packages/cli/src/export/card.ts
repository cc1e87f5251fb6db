import { basename, resolve } from "node:path";
import { runBeside } from "../run/run-beside.ts";
import { version } from "../version.ts";

/** What a model card is made of. */
export interface CardFacts {
  /** the base as it was given: an id on the hub, a folder or a file */
  readonly base: string;
  /** its id, where it is a model of the hub; a relative path can look like one */
  readonly hubId?: string;
  /** folder of what was trained, beside whose folder the run tells how */
  readonly adapter: string | undefined;
  /** "float16 safetensors, adapter merged" */
  readonly form: string;
  /** the library by which the hub says how it is loaded; "transformers" when absent */
  readonly loader?: string;
  /** how it is used elsewhere; in several ways, the usual one first */
  readonly use?: readonly Use[];
  /** the heading; the base's name when absent */
  readonly title?: string;
  /** lines on what was checked and measured */
  readonly checks: readonly string[];
  /** paragraphs on how it answers held-out rows */
  readonly evaluation?: readonly string[];
}

/** One way to use an export: a line of text and a command, or lines of a program. */
export interface Use {
  readonly text: string;
  readonly command: string;
  /** "sh" when absent */
  readonly language?: "sh" | "js";
}

/** README.md of an export: what it is, what it was trained on and how, and what a check found. Local paths are left out. */
export async function modelCard(facts: CardFacts): Promise<string> {
  const { base, hubId, adapter, form, use, loader, checks, evaluation = [] } = facts;
  const name = hubId ?? basename(resolve(base));
  const recipe = adapter === undefined ? [] : await recipeOf(adapter);
  const lora = recipe.includes(fullMethod) ? [] : ["lora"];
  const tags = ["ft", ...(adapter === undefined ? [] : [...lora, "fine-tuned"])];
  const front = [
    "---",
    ...(hubId === undefined ? [] : [`base_model: ${hubId}`]),
    `library_name: ${loader ?? "transformers"}`,
    "pipeline_tag: text-generation",
    `tags: [${tags.join(", ")}]`,
    "---",
  ];
  const title = facts.title ?? (adapter === undefined ? name : `${name}, fine-tuned`);
  const uses = use ?? [];
  const sections = [
    [`# ${title}`, "", `${form}.${base === "" ? "" : ` Base: ${name}.`} Written by ft ${version}.`],
    ...(recipe.length > 0 ? [["## Training", "", "| | |", "|---|---|", ...recipe]] : []),
    ...(uses.length > 0 ? [["## Use", ...uses.flatMap(useLines)]] : []),
    ...(evaluation.length > 0 ? [["## Evaluation", ...evaluation.flatMap((paragraph) => ["", paragraph])]] : []),
    ...(checks.length > 0 ? [["## Checks", "", ...checks.map((line) => `- ${line}`)]] : []),
  ];
  return `${front.join("\n")}\n\n${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function useLines({ text, command, language = "sh" }: Use): string[] {
  return ["", text, "", `\`\`\`${language}`, command, "```"];
}

const fullMethod = "| method | full |";

/** Rows of a table, from the run that the adapter, or what else was trained, lies in. */
async function recipeOf(adapter: string): Promise<string[]> {
  const run = await runBeside(adapter);
  if (run === undefined) return [];
  const { config } = run;
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
