import { dirname, resolve } from "node:path";
import { FtError } from "@ft/tensor";
import { readJsonFile } from "@ft/weights";
import { deepspeedBatch } from "./deepspeed-batch.ts";
import { JsonKeys } from "./json-keys.ts";
import type { PartialConfig } from "./train-config.ts";

/** A configuration with DeepSpeed's settings in it, and what is to be said of them. */
export interface WithDeepspeed {
  readonly config: PartialConfig;
  readonly notes: readonly string[];
}

/** What one of our keys is to be, and where that stands in the file. */
type Found = Map<keyof PartialConfig, { readonly value: unknown; readonly path: string }>;

/**
 * Takes over what a ds_config.json says that has a meaning on one process; "auto" leaves a value to the rest. What
 * contradicts a key of `config` is an error, as in transformers, unless a flag gives that key, which wins.
 */
export async function withDeepspeed(file: string, config: PartialConfig, flags: PartialConfig): Promise<WithDeepspeed> {
  const keys = new JsonKeys(await readJsonFile(file), file);
  const found: Found = new Map();
  const notes: string[] = [];
  const put = (key: keyof PartialConfig, path: string, value: unknown): void => {
    if (value === undefined) return;
    const before = found.get(key);
    if (before && before.value !== value)
      throw new FtError(
        "config",
        `${file}: ${before.path} is ${before.value}, ${path} ${value}`,
        'give the same value, or "auto"',
      );
    found.set(key, { value, path });
  };
  const batch = deepspeedBatch(keys, config, flags);
  for (const { key, path, value } of batch.sizes) put(key, path, value);
  notes.push(...batch.notes);
  readOptimizer(keys, put);
  readScheduler(keys, put, notes);
  readPrecision(keys, put, notes, flags.method ?? config.method);
  put("clipNorm", "gradient_clipping", keys.number("gradient_clipping"));
  readOffload(keys, put, notes);
  const checkpoints = [
    keys.flag("activation_checkpointing.partition_activations"),
    keys.flag("activation_checkpointing.cpu_checkpointing"),
    (keys.number("activation_checkpointing.number_checkpoints", { whole: true }) ?? 0) > 0,
  ];
  if (checkpoints.includes(true)) put("checkpointing", "activation_checkpointing", true);

  const taken: Record<string, unknown> = {};
  for (const [key, { value, path }] of found) {
    if (flags[key] !== undefined) continue;
    if (config[key] !== undefined && config[key] !== value)
      throw new FtError(
        "config",
        `${file}: ${path} is ${show(value)}, but ${key} is ${show(config[key])}`,
        `give the same value, or "auto" in ${file}`,
      );
    taken[key] = value;
  }
  const ignored = keys.ignored();
  if (ignored.length > 0) notes.push(`not used here: ${ignored.join(", ")}`);
  return { config: { ...config, ...taken }, notes: notes.map((note) => `${file}: ${note}`) };
}

type Put = (key: keyof PartialConfig, path: string, value: unknown) => void;

const positive = { above: 0 };
const decay = { below: 1 };

const rules: ReadonlyMap<string, string> = new Map(
  Object.entries({ adam: "adamw", adamw: "adamw", lion: "lion", sgd: "sgd", rmsprop: "rmsprop" }),
);

function readOptimizer(keys: JsonKeys, put: Put): void {
  const type = keys.text("optimizer.type");
  const name = type?.toLowerCase() ?? "";
  if (/^(onebit|zeroone)/.test(name))
    throw new FtError(
      "unsupported",
      `${keys.file}: optimizer.type is ${type}, which compresses what processes send each other; there is one here`,
      "use AdamW",
    );
  const rule = rules.get(name);
  if (type !== undefined && rule === undefined) throw keys.wrong("optimizer.type", "Adam, AdamW, Lion, SGD or RMSprop");
  // DeepSpeed's Adam is AdamW unless it is told otherwise
  const plain = keys.flag("optimizer.params.adam_w_mode") === false && name === "adam";
  put("optimizer", "optimizer.type", plain ? "adam" : rule);
  const at = "optimizer.params";
  put("learningRate", `${at}.lr`, keys.number(`${at}.lr`, positive));
  const betas = keys.numbers(`${at}.betas`, 2, decay);
  put("beta1", `${at}.betas`, betas?.[0]);
  put("beta2", `${at}.betas`, betas?.[1]);
  put("eps", `${at}.eps`, keys.number(`${at}.eps`, positive));
  put("weightDecay", `${at}.weight_decay`, keys.number(`${at}.weight_decay`));
  if (name === "sgd" || name === "rmsprop") put("momentum", `${at}.momentum`, keys.number(`${at}.momentum`, decay));
  if (name === "rmsprop") put("rmspropAlpha", `${at}.alpha`, keys.number(`${at}.alpha`, decay));
  if (name === "sgd") put("nesterov", `${at}.nesterov`, keys.flag(`${at}.nesterov`));
}

const shapes = { WarmupLR: "constant", WarmupDecayLR: "linear", WarmupCosineLR: "cosine" } as const;

function readScheduler(keys: JsonKeys, put: Put, notes: string[]): void {
  const type = keys.choice("scheduler.type", ["WarmupLR", "WarmupDecayLR", "WarmupCosineLR"]);
  if (type === undefined) return;
  put("schedule", "scheduler.type", shapes[type]);
  const at = "scheduler.params";
  put("warmupSteps", `${at}.warmup_num_steps`, keys.number(`${at}.warmup_num_steps`, { whole: true }));
  if (type !== "WarmupLR")
    put("maxSteps", `${at}.total_num_steps`, keys.number(`${at}.total_num_steps`, { min: 1, whole: true }));
  if (type === "WarmupCosineLR") {
    for (const key of ["warmup_min_ratio", "cos_min_ratio"]) {
      const ratio = keys.number(`${at}.${key}`) ?? 0;
      if (ratio !== 0) notes.push(`${at}.${key} is ${ratio}; here the rate starts and ends at 0`);
    }
    return;
  }
  put("learningRate", `${at}.warmup_max_lr`, keys.number(`${at}.warmup_max_lr`, positive));
  const least = keys.number(`${at}.warmup_min_lr`) ?? 0;
  if (least !== 0) notes.push(`${at}.warmup_min_lr is ${least}; here the warm-up starts at 0`);
  if (keys.choice(`${at}.warmup_type`, ["log", "linear"]) !== "linear")
    notes.push(`${at}.warmup_type is log unless it says linear; here the warm-up is linear`);
}

function readPrecision(keys: JsonKeys, put: Put, notes: string[], method: PartialConfig["method"]): void {
  const half = keys.flag("fp16.enabled");
  const brain = keys.flag("bf16.enabled");
  if (half === true && brain === true)
    throw new FtError("config", `${keys.file}: fp16.enabled and bf16.enabled are both true`, "keep one of them");
  if (half === true)
    notes.push("fp16.enabled: f32 is used, which needs no loss scaling; on a card, --dtype f16 trains in f16");
  if (method === "full" && brain !== undefined) put("weightDtype", "bf16.enabled", brain ? "bf16" : "f32");
  else if (brain === true)
    notes.push(
      "bf16.enabled: adapters train in f32; --compute bf16 computes products in bf16, where the processor can",
    );
}

const places = { none: "device", cpu: "host", nvme: "file" } as const;

function readOffload(keys: JsonKeys, put: Put, notes: string[]): void {
  const at = "zero_optimization";
  const stage = keys.number(`${at}.stage`, { whole: true }) ?? 0;
  if (stage > 3) throw keys.wrong(`${at}.stage`, "0, 1, 2 or 3");
  if (stage > 0) notes.push(`${at}.stage ${stage}: there is one process, so nothing is partitioned`);
  const device = keys.choice(`${at}.offload_optimizer.device`, ["none", "cpu", "nvme"]);
  if (device === undefined) return;
  put("optimizerPlacement", `${at}.offload_optimizer.device`, places[device]);
  const folder = keys.text(`${at}.offload_optimizer.nvme_path`);
  if (device === "nvme" && folder !== undefined)
    put("optimizerFolder", `${at}.offload_optimizer.nvme_path`, resolve(dirname(keys.file), folder));
}

function show(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
