import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeCompanions } from "@ft/models";
import type { Backend } from "@ft/tensor";
import { commitFolder, writeFileAtomic } from "@ft/weights";
import type { ExportSource } from "../source/export-source.ts";
import { endsOf } from "../source/hf-config.ts";
import { layOut, writeDataFiles } from "./data-files.ts";
import { encodeModel } from "./proto.ts";
import { WeightReader } from "./reader.ts";
import { cacheDType, checkTypes, decoderGraph, type OnnxType, onnxFile } from "./types.ts";

/** Which ONNX files are written, and how. */
export interface ExportOnnxOptions {
  /** one file each; the first is what transformers.js loads when it is asked for none. "fp32" by default */
  readonly types?: readonly OnnxType[];
  /** quantises for "bnb4"; other types need none */
  readonly backend?: Backend;
  /** largest size of a data file, in bytes; 2 GB by default, which every browser can hold */
  readonly dataFileSize?: number;
  readonly signal?: AbortSignal;
  /** called before each weight is written */
  readonly onTensor?: (name: string, type: OnnxType) => void;
}

/** What exportOnnx wrote. */
export interface ExportedOnnx {
  /** model and data files in the folder, "onnx/model.onnx" and so on, with their sizes */
  readonly files: readonly { readonly name: string; readonly type: OnnxType; readonly bytes: number }[];
}

/**
 * Writes a decoder with key/value cache as transformers.js loads it: `onnx/model{,_fp16,_int8,_quantized,_q4,_q4f16,_bnb4}.onnx`,
 * their weights beside them, config, tokenizer and template. The folder appears complete or not at all; one weight at a time is in
 * memory. Errors: "exists", "io", "input" (types), "config" (bnb4 without a backend), "numeric" (not finite, or beyond f16).
 */
export async function exportOnnx(
  source: ExportSource,
  folder: string,
  options: ExportOnnxOptions = {},
): Promise<ExportedOnnx> {
  const { backend, dataFileSize = 2e9, signal, onTensor } = options;
  const types = checkTypes(options.types ?? ["fp32"]);
  const planned = types.map((type) => {
    const reader = new WeightReader(source, signal, onTensor && ((name) => onTensor(name, type)));
    const graph = decoderGraph(source.config, reader, { type, backend });
    const data = layOut(onnxFile(type), graph.weights, dataFileSize);
    return { type, data, model: encodeModel(graph.model(data.external)) };
  });
  await commitFolder(folder, async (temporary) => {
    const inside = join(temporary, "onnx");
    await mkdir(inside);
    for (const { type, data, model } of planned) {
      await writeDataFiles(inside, data);
      await writeFileAtomic(join(inside, onnxFile(type)), model);
    }
    const counts = planned.map(({ type, data }) => [onnxFile(type), data.files.length] as const);
    const extra = { "transformers.js_config": webConfig(types, counts) };
    await writeCompanions(temporary, { config: source.hfConfig, files: withGeneration(source) }, "f32", extra);
  });
  const files = planned.flatMap(({ type, data, model }) => [
    { name: `onnx/${onnxFile(type)}`, type, bytes: model.length },
    ...data.files.map(({ name, bytes }) => ({ name: `onnx/${name}`, type, bytes })),
  ]);
  return { files };
}

/** What transformers.js reads in config.json. */
function webConfig(types: readonly OnnxType[], counts: readonly (readonly [string, number])[]): object {
  const halves = types.filter((type) => cacheDType(type) === "float16");
  return {
    dtype: types[0],
    use_external_data_format: Object.fromEntries(counts),
    // its third version asks here, its fourth looks at the model
    ...(halves.length > 0 && { kv_cache_dtype: Object.fromEntries(halves.map((type) => [type, "float16"])) }),
  };
}

/** The files of the source, and a generation_config.json where there is none: transformers.js asks for it. */
function withGeneration({ files, config }: ExportSource): ReadonlyMap<string, Uint8Array> {
  const name = "generation_config.json";
  if (files.has(name)) return files;
  const generation = { _from_model_config: true, ...endsOf(config) };
  return new Map([...files, [name, Buffer.from(`${JSON.stringify(generation, null, 2)}\n`)]]);
}
