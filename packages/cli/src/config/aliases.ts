import { FtError } from "@ft/tensor";

/** The keys that a name of another trainer stands for; undefined where its value says nothing. */
type Meaning = string | ((value: unknown) => Readonly<Record<string, unknown>> | undefined);

/** Names of transformers, PEFT and LLaMA-Factory, accepted in files. A dot leads into a group of keys. */
const aliases: ReadonlyMap<string, Meaning> = new Map(
  Object.entries<Meaning>({
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
    bf16: (on) => (on === false ? undefined : { dtype: on === true ? "bf16" : on }),
    fp16: (on) => (on === false ? undefined : { dtype: on === true ? "f16" : on }),
    full_determinism: "deterministic",
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
    // the kind of 4 bits is bnb_4bit_quant_type's to say
    load_in_4bit: (on) => (on === false ? undefined : { quantization: on === true ? {} : { type: on } }),
    load_in_8bit: (on) => (on === false ? undefined : { "quantization.type": on === true ? "int8" : on }),
    bnb_4bit_quant_type: "quantization.type",
    bnb_4bit_use_double_quant: "quantization.doubleQuant",
    bnb_4bit_compute_dtype: (dtype) => ({ "quantization.computeDtype": torchDtypes.get(dtype) ?? dtype }),
    quantization_type: "quantization.type",
    double_quantization: "quantization.doubleQuant",
  }),
);

/** torch's names of what products are computed in. */
const torchDtypes: ReadonlyMap<unknown, string> = new Map(
  Object.entries({ float32: "f32", bfloat16: "bf16", float16: "f16" }).flatMap(([torch, own]) => [
    [torch, own] as const,
    [`torch.${torch}`, own] as const,
  ]),
);

/** transformers' names of update rules. What bitsandbytes pages is kept in host memory here. */
const optimizers: ReadonlyMap<unknown, Readonly<Record<string, unknown>>> = new Map(
  Object.entries({
    adamw_torch: { optimizer: "adamw" },
    adamw_torch_fused: { optimizer: "adamw" },
    adamw_hf: { optimizer: "adamw" },
    adamw_8bit: { optimizer: "adamw8bit" },
    adamw_bnb_8bit: { optimizer: "adamw8bit" },
    paged_adamw: { optimizer: "adamw", optimizerPlacement: "host" },
    paged_adamw_32bit: { optimizer: "adamw", optimizerPlacement: "host" },
    paged_adamw_8bit: { optimizer: "adamw8bit", optimizerPlacement: "host" },
    lion_32bit: { optimizer: "lion" },
    lion_8bit: { optimizer: "lion8bit" },
    paged_lion_32bit: { optimizer: "lion", optimizerPlacement: "host" },
    paged_lion_8bit: { optimizer: "lion8bit", optimizerPlacement: "host" },
    rmsprop_bnb: { optimizer: "rmsprop" },
    rmsprop_bnb_32bit: { optimizer: "rmsprop" },
    rmsprop_bnb_8bit: { optimizer: "rmsprop8bit" },
  }),
);

/** Every alias, for suggestions. */
export const aliasNames: readonly string[] = [...aliases.keys()];

/** The same under our own names. A key that is given twice, under whatever names, is an error. */
export function withoutAliases(input: object, where: string): object {
  // a Map, since a file may well say "constructor" or "__proto__"
  const out = new Map<string, unknown>();
  const put = (key: string, path: string, value: unknown): void => {
    const [name = path, inner] = path.split(".");
    const given: unknown = inner === undefined ? value : { [inner]: value };
    const before = out.get(name);
    const both = isObject(before) && isObject(given);
    const twice = both ? Object.keys(given).find((part) => Object.hasOwn(before, part)) : undefined;
    if (twice !== undefined || (out.has(name) && !both)) {
      const what = twice === undefined ? name : `${name}.${twice}`;
      throw new FtError("config", `${where} gives ${what} twice, once as ${key}`, "keep one of them");
    }
    out.set(name, both ? { ...before, ...given } : given);
  };
  // as in transformers, what 4 bits would be like says nothing where they are switched off
  const unused = "load_in_4bit" in input && input.load_in_4bit === false ? "bnb_4bit_" : undefined;
  for (const [key, value] of Object.entries(input)) {
    if (unused !== undefined && key.startsWith(unused)) continue;
    for (const [path, given] of meant(key, value)) put(key, path, given);
  }
  return Object.fromEntries(out);
}

/** Paths and values under our own names. */
function meant(key: string, value: unknown): readonly (readonly [string, unknown])[] {
  const meaning = aliases.get(key) ?? key;
  if (typeof meaning !== "string") return Object.entries(meaning(value) ?? {});
  const rule = meaning === "optimizer" ? optimizers.get(value) : undefined;
  return rule ? Object.entries(rule) : [[meaning, value]];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
