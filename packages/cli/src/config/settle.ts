import { resolve } from "node:path";
import { FtError } from "@ft/tensor";
import { defaults, type TrainConfig } from "./train-config.ts";

/** What is used where a key is absent and the value does not depend on model or data. */
const usual = {
  maxLength: 512,
  batchSize: 8,
  epochs: 3,
  learningRate: { lora: 2e-4, full: 2e-5 },
  warmupRatio: 0.03,
  lora: { r: 8 },
} as const;

/** What the help says is used when a key is not given; undefined where there is nothing to say. */
export function usualValue(path: readonly string[]): string | undefined {
  const [key = "", inner] = path;
  const words: Record<string, string> = {
    maxLength: `${usual.maxLength}, or the model's context`,
    batchSize: `${usual.batchSize}`,
    epochs: `${usual.epochs}, unless maxSteps is given`,
    learningRate: `${usual.learningRate.lora} for lora, ${usual.learningRate.full} for full`,
    warmupRatio: `${usual.warmupRatio}, 0 for constant`,
    evalEvery: "a tenth of the run",
    saveEvery: "as evalEvery",
    threads: "all cores",
    "lora.r": `${usual.lora.r}`,
    "lora.alpha": "twice r",
    "lora.dropout": "0",
    "lora.bias": "none",
    "lora.targetModules": "all-linear",
  };
  const known = Object.entries(defaults).find(([name, value]) => name === key && typeof value !== "object")?.[1];
  return (
    words[inner === undefined ? key : `${key}.${inner}`] ??
    (known === undefined || known === false ? undefined : String(known))
  );
}

/** What the model decides. */
export interface Facts {
  /** the model's context, in tokens */
  readonly context: number;
}

/** A configuration in which nothing that the run needs is left open; what run.json records. */
export type SettledConfig = TrainConfig & { readonly maxLength: number; readonly learningRate: number };

/** Puts the values that will be used in place of absent ones. */
export function settle(config: TrainConfig, { context }: Facts): SettledConfig {
  if (config.maxLength !== undefined && config.maxLength > context)
    throw new FtError(
      "config",
      `maxLength is ${config.maxLength}, the model's context ${context}`,
      `use at most ${context}, or a model with a longer context`,
    );
  const r = config.lora.r ?? usual.lora.r;
  const { warmupSteps, warmupRatio = config.schedule === "constant" ? 0 : usual.warmupRatio } = config;
  return {
    ...config,
    maxLength: config.maxLength ?? Math.min(usual.maxLength, context),
    ...(config.batchTokens === undefined && { batchSize: config.batchSize ?? usual.batchSize }),
    ...(config.epochs === undefined && config.maxSteps === undefined && { epochs: usual.epochs }),
    learningRate: config.learningRate ?? usual.learningRate[config.method],
    ...(warmupSteps === undefined && { warmupRatio }),
    ...(config.method === "lora" && { lora: { r, alpha: 2 * r, ...config.lora } }),
  };
}

/** The same with paths that mean the same wherever a later command is started. */
export function withAbsolutePaths(config: TrainConfig): TrainConfig {
  const { model, data, out, validation, chatTemplate } = config;
  return {
    ...config,
    model: resolve(model),
    data: resolve(data),
    out: resolve(out),
    ...(validation !== undefined && { validation: resolve(validation) }),
    ...(chatTemplate !== undefined && { chatTemplate: resolve(chatTemplate) }),
  };
}
