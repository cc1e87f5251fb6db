import { resolve } from "node:path";
import { loraConfig } from "@ft/lora";
import { FtError } from "@ft/tensor";
import type { TrainConfig } from "./train-config.ts";
import { usual } from "./usual.ts";

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
  const { r, alpha } = loraConfig(config.lora);
  const { warmupSteps, warmupRatio = config.schedule === "constant" ? 0 : usual.warmupRatio } = config;
  return {
    ...config,
    maxLength: config.maxLength ?? Math.min(usual.maxLength, context),
    ...(config.batchTokens === undefined && { batchSize: config.batchSize ?? usual.batchSize }),
    ...(config.epochs === undefined && config.maxSteps === undefined && { epochs: usual.epochs }),
    learningRate: config.learningRate ?? usual.learningRate[config.method],
    ...(warmupSteps === undefined && { warmupRatio }),
    ...(config.method === "lora" && { lora: { r, alpha, ...config.lora } }),
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
