import { type Command, Option } from "commander";
import { oneOf, whole } from "./flag-values.ts";

/** How a model answers, of every command that lets one answer. */
export function answering(command: Command): Command {
  return command
    .option("--chat-template <file>", "a Jinja file instead of the model's template")
    .option("--max-new-tokens <n>", "length of an answer at most", whole(1), 256);
}

/** Where a command computes, and that it speaks JSON. */
export function computing(command: Command): Command {
  return command
    .addOption(
      oneOf(new Option("--backend <name>", "where to compute; auto takes a usable NVIDIA card"), [
        "auto",
        "cpu",
        "cuda",
      ]).default("auto"),
    )
    .addOption(
      oneOf(new Option("--dtype <dtype>", "what activations are computed in (default: f32)"), ["f32", "bf16", "f16"]),
    )
    .option("--threads <n>", "threads of the CPU kernels", whole(1))
    .option("--json", "one JSON document on stdout");
}
