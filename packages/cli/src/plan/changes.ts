import type { SettledConfig } from "../config/settle.ts";
import { quantizationDefaults } from "../config/train-config.ts";
import { allOptimizers } from "../train/optimizer.ts";

/** One way of needing less memory: what to set, and the configuration with it. */
export interface Change {
  /** as it is written in a configuration: "checkpointing: true" */
  readonly set: string;
  /** what it costs */
  readonly cost: string;
  readonly config: SettledConfig;
}

/** What decides, beside the configuration, which changes there are. */
export interface Circumstances {
  /** whether the model's folder is quantised */
  readonly quantized: boolean;
  /** whether the run is on a card, which host memory is no part of */
  readonly card: boolean;
}

/** Changes that could make a run smaller, those first that change least of what it learns. */
export function changesFor(config: SettledConfig, { quantized, card }: Circumstances): Change[] {
  const changes: Change[] = [];
  const add = (set: string, cost: string, change: Partial<SettledConfig>): void => {
    changes.push({ set, cost, config: { ...config, ...change } });
  };
  if (!config.checkpointing)
    add("checkpointing: true", "a third more work a step, the same numbers", { checkpointing: true });
  const { batchSize = 1, accumulation, optimizer, method } = config;
  if (config.batchTokens === undefined && batchSize > 1) {
    const smaller = { batchSize: 1, accumulation: accumulation * batchSize };
    add(`batchSize: 1, accumulation: ${smaller.accumulation}`, "the same step in smaller products", smaller);
  }
  if (method === "lora" && !quantized)
    add("method: qlora (NF4)", "a base in 4 bits", {
      method: "qlora",
      quantization: { ...quantizationDefaults, computeDtype: config.compute },
    });
  const small = `${optimizer}8bit`;
  if (!optimizer.endsWith("8bit") && Object.hasOwn(allOptimizers, small))
    add(`optimizer: ${small}`, "moments in 8 bits", { optimizer: small });
  if (card && config.optimizerPlacement === "device")
    add("optimizerPlacement: host", "moments in this machine's memory, the same numbers", {
      optimizerPlacement: "host",
    });
  if (config.optimizerPlacement !== "file")
    add("optimizerPlacement: file", "moments on the disk, the same numbers", { optimizerPlacement: "file" });
  if (method === "full") {
    if (config.weightDtype === "f32")
      add("weightDtype: bf16", "weights in bf16 while they are multiplied, f32 masters with the optimizer", {
        weightDtype: "bf16",
      });
    add("method: lora", "adapters instead of every weight", {
      method: "lora",
      weightDtype: "f32",
      lora: { r: 16, alpha: 32 },
    });
  }
  if (config.maxLength > 64) {
    const maxLength = Math.ceil(config.maxLength / 16) * 8;
    add(`maxLength: ${maxLength}`, "longer rows are cut", { maxLength });
  }
  return changes;
}

/** What two changes do together. */
export function together(base: SettledConfig, first: SettledConfig, second: SettledConfig): SettledConfig {
  const changed = Object.fromEntries(
    Object.entries(second).filter(([key, value]) => new Map(Object.entries(base)).get(key) !== value),
  );
  return { ...first, ...changed };
}
