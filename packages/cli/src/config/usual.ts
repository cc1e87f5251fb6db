import { defaults, qloraDefaults, quantizationDefaults } from "./train-config.ts";

/** What is used where a key is absent and the value does not depend on model or data. */
export const usual = {
  maxLength: 512,
  batchSize: 8,
  epochs: 3,
  learningRate: { lora: 2e-4, qlora: 2e-4, full: 2e-5 },
  warmupRatio: 0.03,
} as const;

/** What the help says is used when a key is not given; undefined where there is nothing to say. */
export function usualValue(path: readonly string[]): string | undefined {
  const [key = "", inner] = path;
  // the words for lora are those of @ft/lora, which the help does not load
  const words: Record<string, string> = {
    maxLength: `${usual.maxLength}, or the model's context`,
    batchSize: `${usual.batchSize}`,
    epochs: `${usual.epochs}, unless maxSteps is given`,
    learningRate: `${usual.learningRate.lora} for lora and qlora, ${usual.learningRate.full} for full`,
    warmupRatio: `${usual.warmupRatio}, 0 for constant`,
    evalEvery: "a tenth of the run",
    saveEvery: "as evalEvery",
    threads: "all cores",
    dtype: "f32",
    deterministic: "off",
    cudaGraphs: "on",
    optimizer: `${defaults.optimizer}, ${qloraDefaults.optimizer} for qlora`,
    checkpointing: "on for qlora",
    optimizerOrder: "bitsandbytes for 8-bit optimizers, textbook for others",
    saveDtype: "as weightDtype",
    optimizerFolder: "`out`",
    min8bitSize: "4096",
    "quantization.type": quantizationDefaults.type,
    "quantization.doubleQuant": "on",
    "quantization.blockSize": `${quantizationDefaults.blockSize}`,
    "quantization.computeDtype": "as compute",
    "lora.r": "8",
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
