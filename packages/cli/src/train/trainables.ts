import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { applyLora, saveAdapter } from "@ft/lora";
import { type Llama, saveModel } from "@ft/models";
import { FtError, type Parameter, sizeOf } from "@ft/tensor";
import type { TrainConfig } from "../config/train-config.ts";

/** What a method trains, and how its result is saved. */
export interface Trainables {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly trainable: number;
  readonly total: number;
  /** before a micro-batch: dropout on, drawn for this number */
  train(draw: number): void;
  /** before an evaluation: dropout off */
  evaluate(): void;
  /** Writes the result; returns its folder. */
  save(): Promise<string>;
}

/** Adapters over the model, or the model itself. `base` is what an adapter's folder says it belongs to. */
export function trainablesOf(config: TrainConfig, model: Llama, base: string): Trainables {
  return config.method === "full" ? wholeModel(config, model) : adapters(config, model, base);
}

function adapters(config: TrainConfig, model: Llama, base: string): Trainables {
  const adapter = applyLora(model, { seed: config.seed, ...config.lora });
  const { trainable, total } = adapter.summary();
  return {
    parameters: adapter.parameters(),
    trainable,
    total,
    train: (draw) => adapter.train(draw),
    evaluate: () => adapter.evaluate(),
    async save() {
      const folder = join(config.out, "adapter");
      await saveAdapter(adapter, folder, base);
      return folder;
    },
  };
}

function wholeModel(config: TrainConfig, model: Llama): Trainables {
  if (config.model.endsWith(".gguf"))
    throw new FtError(
      "unsupported",
      `method full cannot save ${config.model} with its tokenizer`,
      "use a Hugging Face folder, or method lora",
    );
  const parameters = model.parameters();
  const total = [...parameters.values()].reduce((sum, value) => sum + sizeOf(value.shape), 0);
  return {
    parameters,
    trainable: total,
    total,
    train: () => {},
    evaluate: () => {},
    async save() {
      const folder = join(config.out, "model");
      await mkdir(folder, { recursive: true });
      await saveModel(model, folder, { from: config.model, dtype: config.saveDtype });
      return folder;
    },
  };
}
