import { type Llama, type LoadModelOptions, loadModel } from "@ft/models";
import { bitsandbytesFormat } from "@ft/quant-nf4";
import { type Backend, FtError } from "@ft/tensor";
import { type Quantization, quantizationDefaults, type TrainConfig } from "../config/train-config.ts";
import { quantizationOf, storedFormat } from "../run/stored-format.ts";

/** The model that a run trains, or trains adapters over. */
export interface Base {
  readonly model: Llama;
  /** how its folder was quantised before, where it was */
  readonly stored: Quantization | undefined;
}

/**
 * Loads what a method works on: f32 or bf16 weights for full, what the file has for lora, no wider than activations, for qlora
 * the same quantised on the way. A folder that is quantised already stays as it is under any adapter.
 */
export async function loadBase(config: TrainConfig, backend: Backend): Promise<Base> {
  const { method, model: path, quantization } = config;
  const own = await storedFormat(path);
  const held = heldAs(config, own !== undefined);
  if (own !== undefined) {
    const model = await loadModel(path, { ...held, backend, format: own });
    return { model, stored: quantizationOf(model.linears().values()) };
  }
  if (method !== "qlora") return { model: await loadModel(path, { ...held, backend }), stored: undefined };
  const { type, doubleQuant, blockSize } = { ...quantizationDefaults, ...quantization };
  const format = bitsandbytesFormat({ type, doubleQuant, blockSize });
  return { model: await loadModel(path, { ...held, backend, format }), stored: undefined };
}

/**
 * What float matrices are held in under a method, and activations: f32 or bf16 for full, under adapters as in the file, but no
 * wider than activations, since nothing of them trains.
 */
export function heldAs(
  { method, model, weightDtype, dtype = "f32" }: TrainConfig,
  stored: boolean,
): Required<Pick<LoadModelOptions, "weights" | "dtype">> {
  if (method === "full" && stored)
    throw new FtError(
      "config",
      `method full trains every weight, and ${model} is quantised`,
      "use method lora or qlora, or the model before its quantisation",
    );
  return { weights: method === "full" ? weightDtype : "narrowed", dtype };
}
