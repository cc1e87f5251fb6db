import { FtError } from "@ft/tensor";
import { z } from "zod";
import { suggest } from "./suggest.ts";
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

/** The closed schema: the one list of keys that files, flags and help are made from. */
const schema = z.strictObject({
  model: z.string().describe("a model folder, a .gguf file, or a name on the hub (org/name)").exactOptional(),
  data: z.string().describe("rows to train on: .json or .jsonl").exactOptional(),
  out: z.string().describe("folder of the run").exactOptional(),
  method: z.enum(["lora", "full"]).describe("train adapters, or every weight").exactOptional(),
  backend: z.enum(["auto", "cpu"]).describe("where to compute").exactOptional(),
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
  optimizer: z.string().describe("update rule: adamw, sgd").exactOptional(),
  weightDecay: z.number().min(0).describe("decay; norms and biases get none").exactOptional(),
  beta1: decay.describe("AdamW: decay of the mean").exactOptional(),
  beta2: decay.describe("AdamW: decay of the square").exactOptional(),
  eps: z.number().gt(0).describe("AdamW: added to the root").exactOptional(),
  momentum: decay.describe("SGD: momentum").exactOptional(),
  nesterov: z.boolean().describe("SGD: Nesterov's form").exactOptional(),
  clipNorm: z.number().min(0).describe("largest gradient norm, 0 for no clipping").exactOptional(),
  checkpointing: z.boolean().describe("recompute activations, to save memory").exactOptional(),
  evalEvery: count.describe("steps between evaluations").exactOptional(),
  saveEvery: count.describe("steps between checkpoints").exactOptional(),
  keep: count.describe("checkpoints kept besides the best").exactOptional(),
  patience: count.describe("evaluations without improvement before stopping").exactOptional(),
  minDelta: z.number().min(0).describe("what counts as an improvement").exactOptional(),
  saveDtype: z.enum(["f32", "bf16", "f16"]).describe("what a full model is saved as").exactOptional(),
  resume: z.boolean().describe("continue the run in `out`").exactOptional(),
  lora: lora.describe("adapter settings").exactOptional(),
});

/** Names that other trainers use, accepted in files. */
const aliases: ReadonlyMap<string, string> = new Map(
  Object.entries({
    model_name_or_path: "model",
    dataset: "data",
    train_file: "data",
    validation_file: "validation",
    output_dir: "out",
    finetuning_type: "method",
    max_length: "maxLength",
    max_seq_length: "maxLength",
    cutoff_len: "maxLength",
    per_device_train_batch_size: "batchSize",
    gradient_accumulation_steps: "accumulation",
    num_train_epochs: "epochs",
    max_steps: "maxSteps",
    learning_rate: "learningRate",
    lr_scheduler_type: "schedule",
    warmup_steps: "warmupSteps",
    warmup_ratio: "warmupRatio",
    optim: "optimizer",
    weight_decay: "weightDecay",
    adam_beta1: "beta1",
    adam_beta2: "beta2",
    adam_epsilon: "eps",
    max_grad_norm: "clipNorm",
    gradient_checkpointing: "checkpointing",
    eval_steps: "evalEvery",
    save_steps: "saveEvery",
    save_total_limit: "keep",
    val_size: "validationFraction",
    early_stopping_patience: "patience",
    lora_r: "lora.r",
    lora_rank: "lora.r",
    lora_alpha: "lora.alpha",
    lora_dropout: "lora.dropout",
    use_rslora: "lora.rsLora",
    target_modules: "lora.targetModules",
    lora_target: "lora.targetModules",
    exclude_modules: "lora.excludeModules",
    rank_pattern: "lora.rankPattern",
    alpha_pattern: "lora.alphaPattern",
  }),
);

/** Checks a parsed file or the flags; names the key, what it holds and what is expected. */
export function parseConfig(input: unknown, where: string): PartialConfig {
  if (typeof input !== "object" || input === null || Array.isArray(input))
    throw new FtError("config", `${where} is not a list of keys and values`, "write one `key: value` a line");
  const result = schema.safeParse(withoutAliases(input, where));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const path = issue?.path.join(".") ?? "";
  if (issue?.code === "unrecognized_keys") throw unknownKeys(where, path, issue.keys);
  throw new FtError(
    "config",
    `${where}: ${path} ${issue?.message.toLowerCase() ?? "is wrong"}`,
    `\`ft train --help\` describes ${path}`,
  );
}

function withoutAliases(input: object, where: string): object {
  // a Map, since a file may well say "constructor" or "__proto__"
  const out = new Map<string, unknown>();
  for (const [key, value] of Object.entries(input)) {
    const [name = key, inner] = (aliases.get(key) ?? key).split(".");
    const given: unknown = inner === undefined ? value : { [inner]: value };
    const before = out.get(name);
    const both = isObject(before) && isObject(given);
    const twice = both ? Object.keys(given).find((part) => Object.hasOwn(before, part)) : undefined;
    if (twice !== undefined || (out.has(name) && !both)) {
      const what = twice === undefined ? name : `${name}.${twice}`;
      throw new FtError("config", `${where} gives ${what} twice, once as ${key}`, "keep one of them");
    }
    out.set(name, both ? { ...before, ...given } : given);
  }
  return Object.fromEntries(out);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unknownKeys(where: string, path: string, keys: readonly string[]): FtError {
  const known = path === "lora" ? Object.keys(lora.shape) : [...Object.keys(schema.shape), ...aliases.keys()];
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
  readonly kind: "number" | "boolean" | "text" | "list" | "json";
  readonly choices: readonly string[] | undefined;
  readonly description: string;
}

/** A flag for every key, nested ones joined by a dash. */
export function flagSpecs(): FlagSpec[] {
  const top = Object.entries(schema.shape).filter(([key]) => key !== "lora");
  const nested = Object.entries(lora.shape);
  return [...top.map(([key, type]) => spec([key], type)), ...nested.map(([key, type]) => spec(["lora", key], type))];
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
            ? "list"
            : "text";
  return { path, flag, kind, choices: json.enum?.map(String), description: json.description ?? "" };
}
