import { readFile } from "node:fs/promises";
import { dirname, extname, join, resolve } from "node:path";
import { FtError } from "@ft/tensor";
import { readJsonFile } from "@ft/weights";
import { parse } from "yaml";
import { exists } from "../run/exists.ts";
import { parseHubName } from "../run/hub-name.ts";
import { parseConfig } from "./schema.ts";
import { defaults, type PartialConfig, type TrainConfig } from "./train-config.ts";

/** Keys that are paths: in a file they are relative to the file, as flags to the working directory. */
const pathKeys = ["model", "data", "out", "validation", "chatTemplate"] as const;

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
export async function readRecordedConfig(out: string): Promise<PartialConfig> {
  const file = join(out, "run.json");
  if (!(await exists(file))) return {};
  const record = await readJsonFile(file);
  const config = typeof record === "object" && record !== null && "config" in record ? record.config : {};
  return parseConfig(config, file);
}

/** Defaults, then the file, then the flags. Throws when a key that every run needs is missing. */
export function resolveConfig(file: PartialConfig, flags: PartialConfig): TrainConfig {
  const given = { ...file, ...flags, lora: { ...file.lora, ...flags.lora } };
  const { model, data, out } = given;
  for (const [key, value] of Object.entries({ model, data, out }))
    if (value === undefined)
      throw new FtError("config", `${key} is not given`, `set it in the configuration file or with --${key}`);
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const config: TrainConfig = { ...defaults, model: model ?? "", data: data ?? "", out: out ?? "", ...known };
  if (config.batchSize !== undefined && config.batchTokens !== undefined)
    throw new FtError("config", "batchSize and batchTokens are both given", "keep one of them");
  if (config.validation !== undefined && (given.validationFraction ?? 0) > 0)
    throw new FtError("config", "validation and validationFraction are both given", "keep one of them");
  return config.validation === undefined ? config : { ...config, validationFraction: 0 };
}
