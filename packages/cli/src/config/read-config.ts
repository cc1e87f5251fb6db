import { readFile } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { FtError } from "@ft/tensor";
import { readJsonFile } from "@ft/weights";
import { parse } from "yaml";
import { exists } from "../run/exists.ts";
import { parseHubName } from "../run/hub-name.ts";
import { type WithDeepspeed, withDeepspeed } from "./deepspeed.ts";
import { quantizedMethod } from "./quantization.ts";
import { parseConfig } from "./schema.ts";
import { defaults, type PartialConfig, qloraDefaults, type TrainConfig } from "./train-config.ts";

/** Keys that are paths: in a file they are relative to the file, as flags to the working directory. */
const pathKeys = ["model", "data", "out", "validation", "chatTemplate", "deepspeed", "optimizerFolder"] as const;

/** Reads a .yaml, .yml or .json configuration. */
export async function readConfigFile(file: string): Promise<PartialConfig> {
  if (![".yaml", ".yml", ".json"].includes(extname(file)))
    throw new FtError("config", `${file} is no configuration file`, "name it .yaml or .json");
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new FtError("missing", `${file} cannot be read`, "give the path of a configuration file", { cause });
  });
  let value: unknown;
  try {
    value = parse(text, { prettyErrors: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split("\n")[0] : String(cause);
    throw new FtError("config", `${file} is not valid YAML: ${reason?.replace(/:$/, "")}`, "correct that line", {
      cause,
    });
  }
  const config: { -readonly [K in keyof PartialConfig]: PartialConfig[K] } = parseConfig(value ?? {}, file);
  const { model } = config;
  for (const key of pathKeys) if (config[key] !== undefined) config[key] = resolve(dirname(file), config[key]);
  // a name on the hub is not relative to anything; a folder of that name wins
  if (model !== undefined && parseHubName(model) && !(await exists(config.model ?? ""))) config.model = model;
  return config;
}

/** What an earlier run in a folder recorded, for a resume that does not repeat it all; nothing where there is none. */
async function readRecordedConfig(out: string): Promise<PartialConfig> {
  const file = join(out, "run.json");
  if (!(await exists(file))) return {};
  const record = await readJsonFile(file);
  const config = typeof record === "object" && record !== null && "config" in record ? record.config : {};
  return parseConfig(config, file);
}

/**
 * What a run is given besides flags: the file's keys, or for a resume without a file those that the run recorded, and the
 * settings of a ds_config.json. The notes say what of the last has no meaning here.
 */
export async function readGiven(file: string | undefined, flags: PartialConfig): Promise<WithDeepspeed> {
  const config = await givenByFile(file, flags);
  const deepspeed = flags.deepspeed ?? config.deepspeed;
  return deepspeed === undefined ? { config, notes: [] } : withDeepspeed(deepspeed, config, flags);
}

async function givenByFile(file: string | undefined, { resume, out }: PartialConfig): Promise<PartialConfig> {
  if (file !== undefined) return readConfigFile(file);
  return resume === true && out !== undefined ? readRecordedConfig(out) : {};
}

/** The keys of a file under the flags; of groups such as `lora`, key by key. */
export function mergeConfigs(file: PartialConfig, flags: PartialConfig): PartialConfig {
  const quantization = { ...file.quantization, ...flags.quantization };
  return {
    ...file,
    ...flags,
    lora: { ...file.lora, ...flags.lora },
    ...((file.quantization ?? flags.quantization) && { quantization }),
  };
}

/** Defaults, then the file, then the flags. Throws when a key that every run needs is missing, or keys contradict each other. */
export function resolveConfig(file: PartialConfig, flags: PartialConfig): TrainConfig {
  const given = mergeConfigs(file, flags);
  const { model, data, out } = given;
  for (const [key, value] of Object.entries({ model, data, out }))
    if (value === undefined)
      throw new FtError("config", `${key} is not given`, `set it in the configuration file or with --${key}`);
  const quantized = quantizedMethod(given);
  const known = Object.fromEntries(
    Object.entries({ ...given, ...quantized }).filter(([, value]) => value !== undefined),
  );
  const config: TrainConfig = {
    ...defaults,
    ...(quantized.method === "qlora" && qloraDefaults),
    // nothing is lost: f32 would only be larger
    ...(given.weightDtype === "bf16" && { saveDtype: "bf16" }),
    ...{ model: model ?? "", data: data ?? "", out: out ?? "" },
    ...known,
  };
  if (config.batchSize !== undefined && config.batchTokens !== undefined)
    throw new FtError("config", "batchSize and batchTokens are both given", "keep one of them");
  if (config.validation !== undefined && (given.validationFraction ?? 0) > 0)
    throw new FtError("config", "validation and validationFraction are both given", "keep one of them");
  if (config.method !== "full" && config.weightDtype !== "f32")
    throw new FtError(
      "config",
      `weightDtype is ${config.weightDtype} with method ${config.method}, whose adapters train in f32`,
      "leave weightDtype out, or use method full",
    );
  if (config.optimizerFolder !== undefined && config.optimizerPlacement !== "file")
    throw new FtError(
      "config",
      `optimizerFolder is given, optimizerPlacement is ${config.optimizerPlacement}`,
      "set optimizerPlacement to file, or leave optimizerFolder out",
    );
  return config.validation === undefined ? config : { ...config, validationFraction: 0 };
}
