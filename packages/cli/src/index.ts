export type { PartialConfig, TrainConfig } from "./config/train-config.ts";
export type { Output } from "./io.ts";
export { main } from "./main.ts";
