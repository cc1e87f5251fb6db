import { type Command, Option } from "commander";
import { oneOf, several, whole } from "../flag-values.ts";
import { answering, computing } from "../model-flags.ts";

/** Gives `ft eval` its flags. */
export function addEvalOptions(command: Command): Command {
  const asked = command
    .option("--model <model>", "a folder, a .gguf file, or a name on the hub (org/name)")
    .option("--adapter <folder>", "a LoRA adapter over it, or the folder of its run; may be given again", several)
    .option("--data <file>", "held-out rows: .json or .jsonl; the last answer of each is its reference")
    .option(
      "--predictions <file>",
      "without a model: answers, one a line; given again, compared with the first",
      several,
    )
    .option("--references <file>", "what should have been answered, one a line; may be given again", several)
    .option(
      "--metrics <names>",
      "perplexity, bleu, bleu-zh, rouge, rouge-zh, chrf, chrf++, exact-match, f1, accuracy, with commas (default: perplexity,bleu,rouge,chrf,exact-match,f1)",
      names,
    )
    .option(
      "--general <file>",
      "text or rows that the fine-tuning was not about: by how much their loss rises was forgotten",
    )
    .option("--out <folder>", "where to keep predictions, eval.json and eval.md; a run that was stopped goes on there")
    .option("--limit <n>", "the first rows, and the first documents of --general", whole(1))
    .option("--max-length <n>", "tokens of a row at most (default: the model's context)", whole(2))
    .addOption(
      oneOf(new Option("--truncation <how>", "what happens to longer rows"), ["end", "drop", "error"]).default("end"),
    )
    .option("--batch-size <n>", "prompts answered at a time", whole(1), 8);
  return computing(answering(asked));
}

function names(text: string): readonly string[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
