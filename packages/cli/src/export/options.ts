import { type Command, Option } from "commander";
import { oneOf, whole } from "../flag-values.ts";

const dtypes = ["f32", "bf16", "f16"] as const;

/** Gives `ft merge` its flags. */
export function addMergeOptions(command: Command): Command {
  return merging(command).requiredOption("--adapter <folder>", "a LoRA adapter, or the folder of its run");
}

/** Gives `ft export` its flags. */
export function addExportOptions(command: Command): Command {
  const to = command.requiredOption(
    "--to <target>",
    "safetensors, vllm (with the command that serves it), gguf (llama.cpp, Ollama), lora-gguf (the adapter alone), bnb (bitsandbytes), awq (4 bits for vLLM), onnx (transformers.js, onnxruntime)",
  );
  return merging(to)
    .option("--adapter <folder>", "a LoRA adapter to merge, or the folder of its run")
    .option(
      "--type <type>",
      "how weights are held: gguf: F16 (default), Q4_K_M, Q8_0, …; lora-gguf: F32 (default), F16, BF16; bnb: nf4 (default), fp4, int8; onnx, several with commas: fp32 (default, as transformers.js loads when asked for none), fp16, int8, q8, q4, q4f16, bnb4",
    )
    .option(
      "--data <file>",
      "awq: rows to calibrate and measure on (default: those that the adapter's run was trained on); onnx: rows to measure on (default: those that it held out)",
    )
    .option(
      "--group-size <n>",
      "awq: weights that share a scale: 128, 64, 32 (default: the largest that fits)",
      whole(1),
    )
    .option("--calibration-rows <n>", "awq: rows that the search looks at, at most (default: 128)", whole(1))
    .option("--block-size <n>", "bnb, 4 bits: weights that share a scale (default: 64)", whole(1))
    .option("--no-double-quant", "bnb, 4 bits: keep the scales in 32 bits")
    .addOption(
      oneOf(new Option("--compute-dtype <dtype>", "bnb: what others are told to compute in (default: f32)"), dtypes),
    );
}

/** What both take. */
function merging(command: Command): Command {
  return command
    .requiredOption("--model <model>", "a folder, a .gguf file, or a name on the hub (org/name)")
    .requiredOption("--out <folder>", "where to write it; it must not exist yet")
    .option("--shard-size <size>", "largest file of weights, such as 2GB (default: 5GB)")
    .addOption(
      oneOf(new Option("--dtype <dtype>", "what floats are rounded to (default: as the base has them)"), dtypes),
    )
    .addOption(
      oneOf(
        new Option("--base <base>", "QLoRA: merge into the weights as stored, or as they were quantised in training"),
        ["stored", "quantized"],
      ).default("stored"),
    )
    .option("--any-base", "merge an adapter also when it was trained over another base")
    .option("--no-check", "do not compare the result with base and adapter")
    .option("--threads <n>", "threads of the CPU kernels", whole(1))
    .option("--json", "one JSON document on stdout");
}
