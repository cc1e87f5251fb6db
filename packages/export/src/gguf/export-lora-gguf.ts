import { join } from "node:path";
import { fromPeftConfig, type LoraConfig, layerScale } from "@ft/lora";
import { ggufName, type LlamaConfig, pairedHeads, permuteRows, projectionOf, projectionShape } from "@ft/models";
import { FtError, sameShape, showShape } from "@ft/tensor";
import { type GgufEntry, ggufType, openSafetensors, readJsonFile, type WeightSource, writeGguf } from "@ft/weights";
import { refuseExisting } from "./export-gguf.ts";
import { type GgufOrigin, generalMetadata, quantizationVersion } from "./model-metadata.ts";

/** How an adapter is written as .gguf. */
export interface ExportLoraGgufOptions extends GgufOrigin {
  /** what A and B are rounded to; "F32" by default, as llama.cpp's converter does */
  readonly type?: "F32" | "F16" | "BF16";
}

const prefix = "base_model.model.";

/**
 * Writes the LoRA adapter of a PEFT folder as one .gguf file, which llama.cpp puts over a .gguf file of the base. llama.cpp scales every
 * layer by alpha / rank with one alpha: what rsLoRA and patterns make of a layer's scale beyond that is multiplied into its B.
 * @param config of the base model
 * Errors: "exists", "io", "format" and "shape" (tensors that are no A and B of a layer of this model), "unsupported" (trained biases,
 * adapted embeddings and heads, variants of LoRA)
 */
export async function exportLoraGguf(
  folder: string,
  config: LlamaConfig,
  out: string,
  options: ExportLoraGgufOptions = {},
): Promise<{ readonly bytes: number; readonly layers: number; readonly alpha: number }> {
  await refuseExisting(out);
  const file = join(folder, "adapter_config.json");
  const adapter = fromPeftConfig(await readJsonFile(file), file);
  await using source = await openSafetensors(join(folder, "adapter_model.safetensors"));
  const layers = layersOf(source, config);
  const alpha = alphaOf(adapter, layers[0]!) || 1; // llama.cpp takes 0 for none and scales by 1
  const entries = layers.flatMap((path) => pair(source, config, { path, type: options.type ?? "F32", adapter, alpha }));
  const bytes = await writeGguf(
    out,
    new Map([
      ...generalMetadata("adapter", options, undefined),
      ["adapter.type", ["string", "lora"]],
      ["adapter.lora.alpha", ["f32", alpha]],
      quantizationVersion,
    ]),
    entries,
    { replace: false },
  );
  return { bytes, layers: layers.length, alpha };
}

/** Paths of the adapted layers, each with A and B of the right sizes, and nothing else in the file. */
function layersOf(source: WeightSource, config: LlamaConfig): string[] {
  const layers: string[] = [];
  for (const name of source.tensors.keys()) {
    const [, head] = /\.(lm_head|embed_tokens)\.lora_/.exec(name) ?? [];
    if (head !== undefined)
      throw new FtError(
        "unsupported",
        `[exportLoraGguf] ${source.path} adapts ${head}: only the linear layers of blocks are written to a LoRA GGUF`,
        "merge this adapter into its base instead",
      );
    const [, path] = /^base_model\.model\.(.+)\.lora_[AB]\.weight$/.exec(name) ?? [];
    if (path === undefined)
      throw new FtError(
        "unsupported",
        `[exportLoraGguf] ${source.path} has "${name}", which is no A or B of LoRA`,
        "llama.cpp's adapters have no other weights: merge this one into its base instead",
      );
    if (!layers.includes(path)) layers.push(path);
  }
  if (layers.length === 0)
    throw new FtError("format", `[exportLoraGguf] ${source.path} has no tensors`, "give the folder of an adapter");
  for (const path of layers) checkLayer(source, config, path);
  return layers;
}

function checkLayer(source: WeightSource, config: LlamaConfig, path: string): void {
  const projection = projectionOf(`${path}.weight`);
  const layer = Number(/\.layers\.(\d+)\./.exec(path)?.[1] ?? Number.NaN);
  if (projection === undefined || !(layer < config.layers))
    throw new FtError(
      "format",
      `[exportLoraGguf] ${source.path} adapts ${path}, which the model has not`,
      "give the config of the adapter's own base",
    );
  const [a, b] = ["A", "B"].map((side) => source.tensors.get(`${prefix}${path}.lora_${side}.weight`)?.shape ?? []);
  const [outer, inner] = projectionShape(config, projection);
  const rank = a![0] ?? 0;
  if (!sameShape(a!, [rank, inner]) || !sameShape(b!, [outer, rank]))
    throw new FtError(
      "shape",
      `[exportLoraGguf] ${path}: A is ${showShape(a!)} and B ${showShape(b!)}, the layer is ${outer}×${inner}`,
      "A is rank × inputs and B outputs × rank: the adapter belongs to a model of another size",
    );
}

/** The alpha that gives this layer its scale: scale · rank. */
function alphaOf(config: LoraConfig, path: string): number {
  const { r, scale } = layerScale(config, path);
  return Math.fround(scale * r);
}

function pair(
  source: WeightSource,
  config: LlamaConfig,
  { path, type, adapter, alpha }: { path: string; type: string; adapter: LoraConfig; alpha: number },
): GgufEntry[] {
  const name = ggufName(`${path}.weight`);
  const format = ggufType(type);
  const factor = alphaOf(adapter, path) / alpha;
  const heads = pairedHeads(`${path}.`, config);
  const side = (letter: "A" | "B"): GgufEntry => {
    const stored = `${prefix}${path}.lora_${letter}.weight`;
    async function* data(): AsyncGenerator<Uint8Array> {
      const values = await source.read(stored, "f32");
      if (letter === "B" && heads !== undefined) permuteRows(values, heads, config.headDim);
      yield format.quantize(letter === "B" && factor !== 1 ? values.map((value) => value * factor) : values);
    }
    const shape = source.tensors.get(stored)!.shape;
    return { name: `${name}.lora_${letter.toLowerCase()}`, shape, type: format, data };
  };
  return [side("A"), side("B")];
}
