import { resolve } from "node:path";
import { loraConfig } from "@ft/lora";
import { FtError } from "@ft/tensor";
import { type Quantization, quantizationDefaults, type TrainConfig } from "./train-config.ts";
import { usual } from "./usual.ts";

/** What the model decides. */
export interface Facts {
  /** the model's context, in tokens */
  readonly context: number;
  /** how its folder is quantised, where it is */
  readonly stored?: Quantization | undefined;
}

/** A configuration in which nothing that the run needs is left open; what run.json records. */
export type SettledConfig = TrainConfig & { readonly maxLength: number; readonly learningRate: number };

/** Puts the values that will be used in place of absent ones. */
export function settle(config: TrainConfig, { context, stored }: Facts): SettledConfig {
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
    ...(config.method !== "full" && { lora: { r, alpha, ...config.lora } }),
    ...(config.method === "qlora" && { quantization: settleQuantization(config, stored) }),
  };
}

/** On a card products have the dtype of activations: bf16 products, where no dtype is given, are activations in bf16. */
export function forCard<C extends TrainConfig>(config: C): C {
  return config.compute === "bf16" && config.dtype === undefined ? { ...config, dtype: "bf16" } : config;
}

/** What is given, completed; of a folder that is quantised already, its own, which what is given must not contradict. */
function settleQuantization({ quantization = {}, compute, model }: TrainConfig, stored?: Quantization): Quantization {
  const { computeDtype: _, ...given } = quantization;
  const { type = quantizationDefaults.type } = given;
  const usual = type === "int8" ? { type } : { ...quantizationDefaults, type };
  const settled: Quantization = stored ?? { ...usual, ...given };
  for (const key of ["type", "doubleQuant", "blockSize"] as const)
    if (stored && given[key] !== undefined && given[key] !== stored[key])
      throw new FtError(
        "config",
        `quantization.${key} is ${given[key]}, but ${model} is quantised already, with ${stored[key] ?? `no ${key}`}`,
        `leave quantization.${key} out, or use the model before its quantisation`,
      );
  return { ...settled, computeDtype: compute };
}

/** The same with paths that mean the same wherever a later command is started. */
export function withAbsolutePaths(config: TrainConfig): TrainConfig {
  const { deepspeed: _, ...rest } = config; // its values are in the others by now
  const { model, data, out, validation, chatTemplate, optimizerFolder } = config;
  return {
    ...rest,
    model: resolve(model),
    data: resolve(data),
    out: resolve(out),
    ...(validation !== undefined && { validation: resolve(validation) }),
    ...(chatTemplate !== undefined && { chatTemplate: resolve(chatTemplate) }),
    ...(optimizerFolder !== undefined && { optimizerFolder: resolve(optimizerFolder) }),
  };
}
