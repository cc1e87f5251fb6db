import { type AnyOptimizer, optimizers, type Schedule, schedules, withGroups } from "@ft/optim";
import { FtError } from "@ft/tensor";
import type { SettledConfig } from "../config/settle.ts";
import type { TrainConfig } from "../config/train-config.ts";

/** The update rule; norms and biases get no weight decay. */
export function optimizerOf(config: TrainConfig): AnyOptimizer {
  const { optimizer: name, weightDecay, beta1, beta2, eps, momentum, nesterov } = config;
  const make = optimizers[name];
  if (make === undefined)
    throw new FtError("config", `there is no optimizer "${name}"`, `use ${Object.keys(optimizers).join(" or ")}`);
  const given = Object.entries({ beta1, beta2, eps, momentum, nesterov }).filter(([, value]) => value !== undefined);
  const settings = Object.fromEntries(given);
  const decaying = make({ ...settings, weightDecay });
  if (weightDecay === 0) return decaying;
  const plain = make({ ...settings, weightDecay: 0 });
  return withGroups({ groups: [{ match: (_, role) => role === "vector", optimizer: plain }], otherwise: decaying });
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
