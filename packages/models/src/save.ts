import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { LinearFormat } from "@ft/nn";
import { FtError, f32ToBf16, f32ToF16, type Parameter } from "@ft/tensor";
import { cast } from "@ft/tensor/ops";
import { type WeightEntry, writeFileAtomic, writeShardedSafetensors } from "@ft/weights";
import type { CausalLm } from "./causal-lm.ts";
import { type Companions, readCompanions } from "./companions.ts";

/** What weights can be saved as. */
export type SaveDType = "f32" | "bf16" | "f16";

/** How saveModel writes a model folder. */
export interface SaveModelOptions {
  /** the Hugging Face folder that the model came from: config, tokenizer and template are copied. Or their content */
  readonly from: string | Companions;
  readonly dtype?: SaveDType;
  /** largest size of one file, in bytes; 5 GB by default, as transformers writes */
  readonly shardSize?: number;
  /** writes the layers that are held in a quantised format; needed where there are such */
  readonly format?: LinearFormat;
}

/** What transformers calls them. */
export const hfDTypes: { readonly [D in SaveDType]: string } = { f32: "float32", bf16: "bfloat16", f16: "float16" };

/** Writes a whole model as a Hugging Face folder: config, weights rounded to `dtype`, tokenizer and template. */
export async function saveModel(model: CausalLm, folder: string, options: SaveModelOptions): Promise<void> {
  const { from, dtype = "f32", shardSize = 5e9, format } = options;
  const quantized = quantizedEntries(model, format);
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new FtError("io", `[model] ${folder} cannot be created`, "choose a folder that can be written", { cause });
  });
  const entries = [...model.parameters()].map(([name, value]) => entry(name, value, dtype));
  await writeShardedSafetensors(folder, [...entries, ...quantized.values()].flat(), shardSize);
  const linears = new Map([...model.linears()].filter(([path]) => quantized.has(path)));
  const quantization = format && linears.size > 0 ? { quantization_config: format.config(linears) } : {};
  await writeCompanions(folder, typeof from === "string" ? await readCompanions(from) : from, dtype, quantization);
}

/** Writes what stands beside weights of `dtype`: config.json with `extra` keys in place of a former quantisation, and the tokenizer's files. */
export async function writeCompanions(
  folder: string,
  { config, files }: Companions,
  dtype: SaveDType,
  extra: { readonly [key: string]: unknown } = {},
): Promise<void> {
  for (const [name, bytes] of files) await writeFileAtomic(join(folder, name), bytes);
  const { quantization_config: _, ...plain } = config;
  // transformers 4 reads torch_dtype, transformers 5 dtype
  const saved = { ...plain, dtype: hfDTypes[dtype], torch_dtype: hfDTypes[dtype], ...extra };
  await writeFileAtomic(join(folder, "config.json"), `${JSON.stringify(saved, null, 2)}\n`);
}

/** What `format` writes for the layers that have no float weight, by their path. */
function quantizedEntries(
  model: CausalLm,
  format: LinearFormat | undefined,
): ReadonlyMap<string, readonly WeightEntry[]> {
  const found = new Map<string, readonly WeightEntry[]>();
  for (const [path, linear] of model.linears()) {
    if (linear.parameters().has("weight")) continue;
    const own = format?.entries(path, linear);
    if (own === undefined)
      throw new FtError(
        "unsupported",
        `[model] the weight of ${path} is held in no format that can be saved here`,
        "pass the format that it was loaded with, and take adapters off first",
      );
    found.set(path, own);
  }
  return found;
}

/** One weight at a time is widened to f32 and rounded again; one that is held in `dtype` is written as it is. */
function entry(name: string, value: Parameter, dtype: SaveDType): WeightEntry {
  const shape = value.shape;
  if (value.dtype === dtype) return { name, dtype, shape, data: () => value.read() };
  const wide = async (): Promise<Float32Array<ArrayBuffer>> => {
    using widened = cast(value, "f32");
    return await widened.read();
  };
  if (dtype === "f32") return { name, dtype, shape, data: wide };
  return { name, dtype, shape, data: async () => (dtype === "bf16" ? f32ToBf16 : f32ToF16)(await wide()) };
}
