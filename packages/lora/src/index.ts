export { applyLora, type LoraAdapter, type LoraSummary } from "./adapter.ts";
export { type LoraConfig, type LoraOptions, layerScale, loraConfig, matchModules } from "./config.ts";
export { baseFingerprint } from "./fingerprint.ts";
export { LoraLinear, type LoraMode } from "./lora-linear.ts";
export { fromPeftConfig } from "./peft-config.ts";
export { type LoadAdapterOptions, loadAdapter, saveAdapter } from "./peft-folder.ts";
