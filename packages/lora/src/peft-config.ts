import { FtError } from "@ft/tensor";
import { type LoraConfig, type LoraOptions, loraConfig } from "./config.ts";

/**
 * The adapter_config.json of PEFT. Keys that are not used are left out, since older PEFT versions refuse unknown ones.
 * `paths` are the adapted layers; "all-linear" is written as their endings, as PEFT itself does.
 */
export function toPeftConfig(config: LoraConfig, paths: readonly string[], baseModel: string | undefined): object {
  const endings = [...new Set(paths.map((path) => path.slice(path.lastIndexOf(".") + 1)))].sort();
  const excluded = config.excludeModules.length > 0 ? { exclude_modules: config.excludeModules } : {};
  return {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: baseModel ?? null,
    inference_mode: true,
    r: config.r,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    target_modules: config.targetModules === "all-linear" ? endings : config.targetModules,
    ...excluded,
    bias: config.bias,
    use_rslora: config.rsLora,
    init_lora_weights: config.init,
    rank_pattern: config.rankPattern,
    alpha_pattern: config.alphaPattern,
    fan_in_fan_out: false,
    modules_to_save: null,
  };
}

/** Keys of variants that change the mathematics; an adapter that uses one cannot be loaded as plain LoRA. */
const unsupported = [
  "use_dora",
  "use_qalora",
  "use_bdlora",
  "lora_bias",
  "modules_to_save",
  "layer_replication",
  "trainable_token_indices",
  "target_parameters",
  "alora_invocation_tokens",
  "arrow_config",
  "kasa_config",
  "velora_config",
  "monteclora_config",
  "fan_in_fan_out",
  "layers_to_transform",
];

/** Initialisations that touch A and B alone, so that the saved A and B say everything; PiSSA, OLoRA and LoftQ do not. */
const plainInits = ["gaussian", "eva", "orthogonal"];

/** Reads an adapter_config.json of any PEFT version; names the key when something is missing or not supported. */
export function fromPeftConfig(json: unknown, file: string): LoraConfig {
  if (typeof json !== "object" || json === null)
    throw new FtError("format", `[lora] ${file} is not an object`, "expected PEFT's adapter_config.json");
  const fields = new Map(Object.entries(json));
  const kind = fields.get("peft_type");
  if (kind !== "LORA")
    throw new FtError(
      "unsupported",
      `[lora] ${file}: peft_type is ${JSON.stringify(kind)}`,
      'only "LORA" adapters can be loaded',
    );
  for (const key of unsupported)
    if (isUsed(fields.get(key)))
      throw new FtError(
        "unsupported",
        `[lora] ${file} uses ${key}`,
        "only plain LoRA can be loaded; merge the adapter with PEFT instead",
      );

  const wrong = (key: string, expected: string): FtError =>
    new FtError("config", `[lora] ${file}: ${key} is ${JSON.stringify(fields.get(key))}`, `expected ${expected}`);
  const number = (key: string, fallback: number): number => {
    const value: unknown = fields.get(key) ?? fallback;
    if (typeof value !== "number") throw wrong(key, "a number");
    return value;
  };
  const modules = (key: string): readonly string[] | string => {
    const value: unknown = fields.get(key) ?? [];
    if (typeof value === "string") return value;
    if (Array.isArray(value) && value.every((name) => typeof name === "string")) return value;
    throw wrong(key, "a list of names or a regular expression");
  };
  const pattern = (key: string): Record<string, number> => {
    const value: unknown = fields.get(key) ?? {};
    if (typeof value !== "object" || value === null || !Object.values(value).every((n) => typeof n === "number"))
      throw wrong(key, "numbers by module pattern");
    return { ...value };
  };
  const targets = modules("target_modules");
  if (targets.length === 0) throw wrong("target_modules", "the adapted layers");
  const bias = fields.get("bias") ?? "none";
  if (bias !== "none" && bias !== "all" && bias !== "lora_only") throw wrong("bias", "none, all or lora_only");
  const init = fields.get("init_lora_weights") ?? true;
  if (typeof init !== "boolean" && !plainInits.includes(String(init)))
    throw new FtError(
      "unsupported",
      `[lora] ${file}: init_lora_weights is ${JSON.stringify(init)}`,
      "it changes the base weights too; convert the adapter to plain LoRA with PEFT when saving it",
    );
  const options: LoraOptions = {
    r: number("r", 8),
    alpha: number("lora_alpha", 8),
    dropout: number("lora_dropout", 0),
    rsLora: fields.get("use_rslora") === true,
    bias,
    targetModules: targets,
    excludeModules: modules("exclude_modules"),
    rankPattern: pattern("rank_pattern"),
    alphaPattern: pattern("alpha_pattern"),
  };
  return loraConfig(options);
}

function isUsed(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  return !(typeof value === "object" && Object.keys(value).length === 0);
}
