import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { sha256File } from "@ft/weights";
import { withAbsolutePaths } from "../config/settle.ts";
import type { TrainConfig } from "../config/train-config.ts";
import { version } from "../version.ts";

/** What run.json says: the resolved configuration, versions, and hashes of what went in. */
export interface RunRecord {
  readonly config: TrainConfig;
  readonly versions: { readonly ft: string; readonly node: string };
  /** SHA-256 by file */
  readonly hashes: Readonly<Record<string, string>>;
  /** SHA-256 of the chat template that rows are written by */
  readonly template: string;
}

/** Hashes the rows, the weights and the chat template of a run. `model` is what finds the same weights again. */
export async function recordOf(config: TrainConfig, model: string, template: string): Promise<RunRecord> {
  const files = [
    config.data,
    ...(config.validation === undefined ? [] : [config.validation]),
    ...(await weightFiles(config.model)),
  ];
  const hashes: Record<string, string> = {};
  for (const file of files) hashes[file] = await sha256File(file);
  return {
    config: { ...withAbsolutePaths(config), model },
    versions: { ft: version, node: process.versions.node },
    hashes,
    template: createHash("sha256").update(template).digest("hex"),
  };
}

/**
 * What a resume must find unchanged, in a form that does not depend on where the files lie. Where the optimizer's state is
 * kept is not among it: the results are the same. The optimizer's name is the trainer's to add.
 */
export function identityOf({ config, hashes, template }: RunRecord): Record<string, string | number | boolean> {
  const { method, compute, seed, packing, truncation, validationFraction, weightDecay, lora, quantization } = config;
  const { beta1, beta2, eps, momentum, nesterov, rmspropAlpha, min8bitSize, optimizerOrder } = config;
  const inputs = createHash("sha256").update(Object.values(hashes).join()).digest("hex");
  return {
    method,
    compute,
    ...(config.dtype !== undefined && config.dtype !== "f32" && { dtype: config.dtype }),
    seed,
    packing,
    truncation,
    validationFraction,
    weightDecay,
    weightDtype: config.weightDtype,
    optimizerSettings: words({ beta1, beta2, eps, momentum, nesterov, rmspropAlpha, min8bitSize, optimizerOrder }),
    quantization: words({ ...quantization }),
    lora: JSON.stringify(lora),
    inputs,
    template,
  };
}

/** "beta1 0.9, eps 0.001": what is given, in the order of the alphabet. */
function words(settings: Readonly<Record<string, unknown>>): string {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return given.length === 0
    ? "none"
    : given
        .map(([key, value]) => `${key} ${value}`)
        .sort()
        .join(", ");
}

async function weightFiles(model: string): Promise<string[]> {
  if (!(await stat(model)).isDirectory()) return [model];
  const names = await readdir(model);
  return names
    .filter((name) => name.endsWith(".safetensors"))
    .sort()
    .map((name) => join(model, name));
}
