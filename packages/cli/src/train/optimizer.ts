import { type AnyOptimizer, optimizers, type Schedule, schedules, withGroups, withMasterWeights } from "@ft/optim";
import { optimizers8bit } from "@ft/optim-8bit";
import { FtError } from "@ft/tensor";
import type { SettledConfig } from "../config/settle.ts";
import type { TrainConfig } from "../config/train-config.ts";

/** Every update rule by name. */
export const allOptimizers: typeof optimizers = { ...optimizers, ...optimizers8bit };

/** 32-bit rules that bitsandbytes has in another order than the textbook. */
const ordered: readonly string[] = ["adam", "adamw", "rmsprop"];

/** The update rule; norms and biases get no weight decay. Weights in bf16 get f32 masters. */
export function optimizerOf(config: TrainConfig): AnyOptimizer {
  const { optimizer: name, weightDecay, weightDtype } = config;
  const make = Object.hasOwn(allOptimizers, name) ? allOptimizers[name] : undefined;
  if (make === undefined)
    throw new FtError(
      "config",
      `there is no optimizer "${name}"`,
      `use one of ${Object.keys(allOptimizers).join(", ")}`,
    );
  const settings = settingsOf(config);
  const decaying = make({ ...settings, weightDecay });
  const plain = weightDecay === 0 ? decaying : make({ ...settings, weightDecay: 0 });
  const rule =
    plain === decaying
      ? decaying
      : withGroups({ groups: [{ match: (_, role) => role === "vector", optimizer: plain }], otherwise: decaying });
  return weightDtype === "bf16" ? withMasterWeights(rule) : rule;
}

/** What is given for the rule, under its own names; what a rule does not have is for it to refuse. */
function settingsOf(config: TrainConfig): { readonly [setting: string]: number | boolean } {
  const { optimizer: name, beta1, beta2, eps, momentum, nesterov, rmspropAlpha, min8bitSize, optimizerOrder } = config;
  if (rmspropAlpha !== undefined && !name.startsWith("rmsprop"))
    throw new FtError("config", `rmspropAlpha is given, the optimizer is ${name}`, "leave it out, or use rmsprop");
  if (min8bitSize !== undefined && !Object.hasOwn(optimizers8bit, name))
    throw new FtError(
      "config",
      `min8bitSize is given, the optimizer is ${name}, whose state has 32 bits`,
      `leave it out, or use one of ${Object.keys(optimizers8bit).join(", ")}`,
    );
  const order = Object.hasOwn(optimizers8bit, name)
    ? optimizerOrder && { textbook: optimizerOrder === "textbook" }
    : optimizerOrder === "bitsandbytes" && ordered.includes(name) && { bitsandbytesOrder: true };
  const given = { beta1, beta2, eps, momentum, nesterov, alpha: rmspropAlpha, min8bitSize, ...order };
  return Object.fromEntries(
    Object.entries(given).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
  );
}

/** The learning rate of every step. */
export function scheduleOf(config: SettledConfig, totalSteps: number): Schedule {
  const { warmupSteps, warmupRatio = 0, learningRate } = config;
  const warmup = warmupSteps === undefined ? { warmupRatio } : { warmupSteps };
  const make = schedules[config.schedule];
  if (make === undefined)
    throw new FtError(
      "config",
      `there is no schedule "${config.schedule}"`,
      `use ${Object.keys(schedules).join(", ")}`,
    );
  return make({ learningRate, totalSteps, ...warmup });
}
