import { FtError } from "@ft/tensor";
import { z } from "zod";
import { aliasNames, withoutAliases } from "./aliases.ts";
import { suggest, suggestValue } from "./suggest.ts";
import type { PartialConfig } from "./train-config.ts";

const count = z.int().min(1);
const share = z.number().min(0).max(1);
const decay = z.number().min(0).lt(1);
const modules = z.union([z.string(), z.array(z.string())]);

const lora = z.strictObject({
  r: count.describe("rank of the update").exactOptional(),
  alpha: z.number().describe("the update is scaled by alpha / r").exactOptional(),
  dropout: decay.describe("probability of dropping an input of A").exactOptional(),
  rsLora: z.boolean().describe("scale by alpha / √r instead").exactOptional(),
  bias: z.enum(["none", "all", "lora_only"]).describe("which biases train").exactOptional(),
  targetModules: modules.describe('names, a regular expression, or "all-linear"').exactOptional(),
  excludeModules: modules.describe("layers to leave out").exactOptional(),
  rankPattern: z.record(z.string(), count).describe("other ranks by module pattern").exactOptional(),
  alphaPattern: z.record(z.string(), z.number()).describe("other alphas by module pattern").exactOptional(),
});

const quantization = z.strictObject({
  type: z.enum(["nf4", "fp4", "int8"]).describe("how the base's weights are held").exactOptional(),
  doubleQuant: z.boolean().describe("4 bits: quantise the scales of the blocks too").exactOptional(),
  blockSize: z.int().describe("4 bits: weights that share a scale, a power of two from 32 to 4096").exactOptional(),
  computeDtype: z.enum(["f32", "bf16", "f16"]).describe("what products over the base are computed in").exactOptional(),
});

/** Keys that hold keys of their own; their flags are joined by a dash. */
const groups = { lora, quantization } as const;

/** The closed schema: the one list of keys that files, flags and help are made from. */
const schema = z.strictObject({
  model: z.string().describe("a model folder, a .gguf file, or a name on the hub (org/name)").exactOptional(),
  data: z.string().describe("rows to train on: .json or .jsonl").exactOptional(),
  out: z.string().describe("folder of the run").exactOptional(),
  method: z
    .enum(["lora", "qlora", "full"])
    .describe("train adapters, adapters over a quantised base, or every weight")
    .exactOptional(),
  backend: z
    .enum(["auto", "cpu", "cuda"])
    .describe("where to compute; auto takes a usable NVIDIA card")
    .exactOptional(),
  dtype: z.enum(["f32", "bf16", "f16"]).describe("what activations are computed in").exactOptional(),
  deterministic: z.boolean().describe("cuda: bitwise the same results in every run, more slowly").exactOptional(),
  cudaGraphs: z.boolean().describe("cuda: record steps and replay them").exactOptional(),
  threads: count.describe("threads of the CPU kernels").exactOptional(),
  compute: z
    .enum(["f32", "bf16"])
    .describe("products over the weights; bf16 where the processor has them")
    .exactOptional(),
  seed: z.int().min(0).describe("everything random depends on it").exactOptional(),
  validation: z.string().describe("held-out rows in a file of their own").exactOptional(),
  validationFraction: share.describe("share of the rows to hold out, 0 for none").exactOptional(),
  chatTemplate: z.string().describe("a Jinja file instead of the model's template").exactOptional(),
  maxLength: z.int().min(2).describe("tokens of a row at most").exactOptional(),
  truncation: z.enum(["end", "drop", "error"]).describe("what happens to longer rows").exactOptional(),
  packing: z.boolean().describe("several rows in one sequence, kept apart").exactOptional(),
  batchSize: count.describe("rows of a micro-batch").exactOptional(),
  batchTokens: count.describe("positions of a micro-batch, instead of batchSize").exactOptional(),
  accumulation: count.describe("micro-batches of an optimizer step").exactOptional(),
  epochs: z.number().gt(0).describe("times through the data").exactOptional(),
  maxSteps: count.describe("optimizer steps at most").exactOptional(),
  learningRate: z.number().gt(0).describe("peak learning rate").exactOptional(),
  schedule: z.enum(["constant", "linear", "cosine"]).describe("how the learning rate falls").exactOptional(),
  warmupSteps: z.int().min(0).describe("steps of linear warm-up").exactOptional(),
  warmupRatio: share.describe("warm-up as a share of all steps").exactOptional(),
  optimizer: z
    .string()
    .describe("adamw, adam, lion, rmsprop, sgd; with 8-bit state adamw8bit, adam8bit, lion8bit, rmsprop8bit, sgd8bit")
    .exactOptional(),
  weightDecay: z.number().min(0).describe("decay; norms and biases get none").exactOptional(),
  beta1: decay.describe("Adam, Lion: decay of the mean").exactOptional(),
  beta2: decay.describe("Adam, Lion: the second decay").exactOptional(),
  eps: z.number().gt(0).describe("Adam, RMSProp: added to the root").exactOptional(),
  momentum: decay.describe("SGD, RMSProp: momentum").exactOptional(),
  nesterov: z.boolean().describe("SGD: Nesterov's form").exactOptional(),
  rmspropAlpha: decay.describe("RMSProp: decay of the mean square").exactOptional(),
  min8bitSize: z.int().min(0).describe("8-bit optimizers: smaller tensors keep 32-bit state").exactOptional(),
  optimizerOrder: z
    .enum(["bitsandbytes", "textbook"])
    .describe("order of decay and step, where the two differ")
    .exactOptional(),
  optimizerPlacement: z
    .enum(["device", "host", "file"])
    .describe("where the optimizer's state is kept between steps")
    .exactOptional(),
  optimizerFolder: z.string().describe("where placement `file` puts its file").exactOptional(),
  clipNorm: z.number().min(0).describe("largest gradient norm, 0 for no clipping").exactOptional(),
  checkpointing: z
    .union([z.boolean(), z.literal("offload")], { error: 'is none of true, false, "offload"' })
    .describe("recompute activations, to save memory; offload also keeps the inputs of blocks in host memory")
    .exactOptional(),
  evalEvery: count.describe("steps between evaluations").exactOptional(),
  saveEvery: count.describe("steps between checkpoints").exactOptional(),
  keep: count.describe("checkpoints kept besides the best").exactOptional(),
  patience: count.describe("evaluations without improvement before stopping").exactOptional(),
  minDelta: z.number().min(0).describe("what counts as an improvement").exactOptional(),
  weightDtype: z
    .enum(["f32", "bf16"])
    .describe("method full: what the weights are held in; f32 masters stay with the optimizer")
    .exactOptional(),
  saveDtype: z.enum(["f32", "bf16", "f16"]).describe("what a full model is saved as").exactOptional(),
  deepspeed: z.string().describe("a ds_config.json whose settings to take over").exactOptional(),
  resume: z.boolean().describe("continue the run in `out`").exactOptional(),
  lora: lora.describe("adapter settings").exactOptional(),
  quantization: quantization.describe("how the base is quantised: makes method lora qlora").exactOptional(),
});

/** Checks a parsed file or the flags; names the key, what it holds and what is expected. */
export function parseConfig(input: unknown, where: string): PartialConfig {
  if (typeof input !== "object" || input === null || Array.isArray(input))
    throw new FtError("config", `${where} is not a list of keys and values`, "write one `key: value` a line");
  const given = withoutAliases(input, where);
  const result = schema.safeParse(given);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.join(".") ?? "";
  if (issue?.code === "unrecognized_keys") throw unknownKeys(where, path, issue.keys);
  const near =
    issue?.code === "invalid_value" ? suggestValue(at(given, issue.path), issue.values.map(String)) : undefined;
  throw new FtError(
    "config",
    `${where}: ${path} ${issue?.message.toLowerCase() ?? "is wrong"}`,
    near === undefined ? `\`ft train --help\` describes ${path}` : `did you mean "${near}"?`,
  );
}

/** What a parsed file holds at a path. */
function at(input: unknown, path: readonly PropertyKey[]): unknown {
  let found = input;
  for (const key of path)
    found =
      typeof found === "object" && found !== null
        ? Object.entries(found).find(([name]) => name === String(key))?.[1]
        : undefined;
  return found;
}

function unknownKeys(where: string, path: string, keys: readonly string[]): FtError {
  const group = Object.entries(groups).find(([name]) => name === path)?.[1];
  const known = group ? Object.keys(group.shape) : [...Object.keys(schema.shape), ...aliasNames];
  const full = (key: string): string => `"${path === "" ? key : `${path}.${key}`}"`;
  const near = keys.flatMap((key) => suggest(key, known) ?? []).map((name) => `"${name}"`);
  const hint = near.length > 0 ? `did you mean ${near.join(", ")}?` : "`ft train --help` lists every key";
  const what = keys.length === 1 ? "unknown key" : "unknown keys";
  return new FtError("config", `${where}: ${what} ${keys.map(full).join(", ")}`, hint);
}

/** One command-line flag: the key it sets, how its text becomes a value, and its help. */
export interface FlagSpec {
  /** path in the configuration, such as ["lora", "r"] */
  readonly path: readonly string[];
  /** "--lora-r" */
  readonly flag: string;
  /** "switch" is a boolean that may also be a word */
  readonly kind: "number" | "boolean" | "text" | "list" | "json" | "switch";
  readonly choices: readonly string[] | undefined;
  readonly description: string;
}

/** A flag for every key, nested ones joined by a dash. */
export function flagSpecs(): FlagSpec[] {
  const top = Object.entries(schema.shape).filter(([key]) => !Object.hasOwn(groups, key));
  const nested = Object.entries(groups).flatMap(([group, { shape }]) =>
    Object.entries(shape).map(([key, type]) => spec([group, key], type)),
  );
  return [...top.map(([key, type]) => spec([key], type)), ...nested];
}

function spec(path: readonly string[], type: z.ZodType): FlagSpec {
  const json = z.toJSONSchema(type);
  const flag = `--${path.map((part) => part.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)).join("-")}`;
  const kind =
    json.type === "number" || json.type === "integer"
      ? "number"
      : json.type === "boolean"
        ? "boolean"
        : json.type === "object"
          ? "json"
          : json.anyOf
            ? json.anyOf.some(({ type }) => type === "boolean")
              ? "switch"
              : "list"
            : "text";
  const words = json.anyOf?.flatMap((one) => one.const ?? []) ?? [];
  const choices = kind === "switch" ? ["true", "false", ...words] : json.enum;
  return { path, flag, kind, choices: choices?.map(String), description: json.description ?? "" };
}
