import { type SaveDType, writeCompanions } from "@ft/models";
import { type DataOf, f32ToBf16 } from "@ft/tensor";
import { commitFolder, type WeightEntry, writeShardedSafetensors } from "@ft/weights";
import type { ExportSource, SourceTensor } from "../source/export-source.ts";
import { halves } from "../source/halves.ts";
import { windows } from "../source/windows.ts";

/** How a merged model is written. */
export interface ExportSafetensorsOptions {
  /** what weights are rounded to; by default what the embeddings are stored in */
  readonly dtype?: SaveDType;
  /** largest size of one file, in bytes; 5 GB by default, as transformers writes */
  readonly shardSize?: number;
  readonly signal?: AbortSignal;
  /** called before each tensor is written */
  readonly onTensor?: (name: string) => void;
}

type Values = Float32Array<ArrayBuffer>;

const narrowed: { readonly [D in SaveDType]: (name: string, values: Values) => DataOf[D] } = {
  f32: (_, values) => values,
  bf16: (_, values) => f32ToBf16(values),
  f16: (name, values) => halves(name, values, "write bf16 or f32"),
};

/**
 * Writes a model as a Hugging Face folder: weights rounded once to `dtype`, in shards, with config, tokenizer and template. The
 * folder appears complete or not at all. Errors: "exists", "io", "numeric" (weights that are not finite, or not in f16).
 */
export async function exportSafetensors(
  source: ExportSource,
  folder: string,
  options: ExportSafetensorsOptions = {},
): Promise<{ readonly files: readonly string[]; readonly bytes: number; readonly dtype: SaveDType }> {
  const { shardSize = 5e9 } = options;
  const dtype = options.dtype ?? source.tensors.get("model.embed_tokens.weight")?.dtype ?? "f32";
  const entries = [...source.tensors.values()].map((tensor) => entry(source, tensor, dtype, options));
  let written = { files: [] as readonly string[], totalSize: 0 };
  await commitFolder(folder, async (temporary) => {
    written = await writeShardedSafetensors(temporary, entries, shardSize);
    await writeCompanions(temporary, { config: source.hfConfig, files: source.files }, dtype);
  });
  return { files: written.files, bytes: written.totalSize, dtype };
}

function entry(
  source: ExportSource,
  tensor: SourceTensor,
  dtype: SaveDType,
  { signal, onTensor }: ExportSafetensorsOptions,
): WeightEntry {
  async function* data(): AsyncGenerator<DataOf[SaveDType]> {
    onTensor?.(tensor.name);
    for await (const values of windows(source, tensor, signal)) yield narrowed[dtype](tensor.name, values);
  }
  return { name: tensor.name, dtype, shape: tensor.shape, data };
}
