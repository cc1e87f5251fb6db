import { join } from "node:path";
import { plannedArray } from "@ft/backend-plan";
import { configFromHf, type LlamaConfig, parameterShapes, quantMethod, readModelFacts } from "@ft/models";
import { bytesPerElement, type DType, type FloatDType, FtError, isFloat, sizeOf } from "@ft/tensor";
import { openWeights, readJsonFile, type TensorInfo, type WeightSource } from "@ft/weights";
import type { Quantization } from "../config/train-config.ts";
import { exists } from "../run/exists.ts";

/** A model of which only the description is read: its config, and the headers of its weight files where they are there. */
export interface DescribedModel {
  readonly config: LlamaConfig;
  /** tensors with their shapes and dtypes; reading one gives an array that holds nothing */
  readonly source: WeightSource;
  /** how its folder says that it is quantised */
  readonly stored: Quantization | undefined;
  /** what most of its weights are stored as */
  readonly dtype: DType;
}

/** Describes a folder with a config.json, or a .gguf file. */
export async function describeModel(path: string): Promise<DescribedModel> {
  return path.endsWith(".gguf") ? describeGguf(path) : describeFolder(path);
}

async function describeFolder(folder: string): Promise<DescribedModel> {
  const file = join(folder, "config.json");
  const json = await readJsonFile(file);
  const config = configFromHf(json, file);
  const known = await storedDtypes(folder);
  const usual = declaredDtype(json);
  const shapes = parameterShapes(config);
  const tensors = new Map(
    [...shapes].map(([name, shape]) => [name, infoOf(name, shape, known.get(name) ?? usual)] as const),
  );
  return { config, source: empty(folder, tensors), stored: storedQuantization(json, file), dtype: usual };
}

/** What each tensor is stored as, where the weights are there; their data stay unread. */
async function storedDtypes(folder: string): Promise<ReadonlyMap<string, FloatDType>> {
  const there = await Promise.all(
    ["model.safetensors", "model.safetensors.index.json"].map((name) => exists(join(folder, name))),
  );
  const dtypes = new Map<string, FloatDType>();
  if (!there.includes(true)) return dtypes;
  await using source = await openWeights(folder);
  for (const { name, host } of source.tensors.values()) if (host !== undefined && isFloat(host)) dtypes.set(name, host);
  return dtypes;
}

const torchDtypes: ReadonlyMap<unknown, FloatDType> = new Map([
  ["bfloat16", "bf16"],
  ["float16", "f16"],
  ["float32", "f32"],
] as const);

/** transformers calls it torch_dtype up to version 4, dtype from 5 on; f32 where it is left out. */
function declaredDtype(json: unknown): FloatDType {
  const fields = new Map(Object.entries(Object(json)));
  return torchDtypes.get(fields.get("dtype") ?? fields.get("torch_dtype")) ?? "f32";
}

/** bitsandbytes' settings in a config.json, with the values that it takes where they are left out. */
function storedQuantization(json: unknown, file: string): Quantization | undefined {
  const method = quantMethod(json, file);
  if (method === undefined) return undefined;
  if (method !== "bitsandbytes")
    throw new FtError(
      "unsupported",
      `${file}: quantization_config has quant_method "${method}"`,
      "bitsandbytes is read here; use that, the model that it was made from, or a .gguf file",
    );
  const fields = new Map<string, unknown>(
    Object.entries(Object(new Map(Object.entries(Object(json))).get("quantization_config"))),
  );
  if (fields.get("load_in_8bit") === true) return { type: "int8" };
  const type = fields.get("bnb_4bit_quant_type") === "nf4" ? "nf4" : "fp4";
  return { type, doubleQuant: fields.get("bnb_4bit_use_double_quant") === true, blockSize: 64 };
}

async function describeGguf(path: string): Promise<DescribedModel> {
  await using source = await openWeights(path);
  const { config } = await readModelFacts(path, source, undefined);
  // blocks are widened to f32; names and the order of rows are Hugging Face's here, which take the same memory
  const hosts = [...source.tensors.values()].map(({ host }) => host);
  const dtype = hosts.filter((host) => host === "bf16" || host === "f16").length > hosts.length / 2 ? "f16" : "f32";
  const tensors = new Map([...parameterShapes(config)].map(([name, shape]) => [name, infoOf(name, shape, dtype)]));
  return { config, source: empty(path, tensors), stored: undefined, dtype };
}

const fileNames: Readonly<Partial<Record<DType, string>>> = { bf16: "BF16", f16: "F16", f32: "F32", f64: "F64" };

function infoOf(name: string, shape: readonly number[], host: FloatDType): TensorInfo {
  const size = sizeOf(shape);
  return { name, dtype: fileNames[host] ?? host, shape, size, bytes: size * bytesPerElement[host], host };
}

/** Tensors without data. */
function empty(path: string, tensors: ReadonlyMap<string, TensorInfo>): WeightSource {
  const close = async (): Promise<void> => {};
  return {
    format: "safetensors",
    path,
    metadata: new Map(),
    tensors,
    read: async (name, dtype) => plannedArray({ dtype, shape: tensors.get(name)?.shape ?? [0] }),
    readWindow: async (_, __, count, dtype) => plannedArray({ dtype, shape: [count] }),
    close,
    [Symbol.asyncDispose]: close,
  };
}
