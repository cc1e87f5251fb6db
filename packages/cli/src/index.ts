export type { PartialConfig, TrainConfig } from "./config/train-config.ts";
export { main } from "./main.ts";
