import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { FtError, sizeOf } from "@ft/tensor";
import { createQuantizer, type GgufTypeName, type GgufValue, type Quantizer, writeGguf } from "@ft/weights";
import type { ExportSource } from "../source/export-source.ts";
import { checkFileType, fileTypeId, type GgufFileType } from "./file-types.ts";
import { architectureMetadata, type GgufOrigin, generalMetadata, sizeLabel } from "./model-metadata.ts";
import { ggufTensors } from "./tensors.ts";
import { tokenizerMetadata } from "./tokenizer/tokenizer-metadata.ts";

/** How a .gguf file is written. */
export interface ExportGgufOptions extends GgufOrigin {
  /** "F16" by default */
  readonly type?: GgufFileType;
  /** threads that quantise beside the main one; the number of cores unless given. Results are the same for any number. */
  readonly threads?: number;
  /** quantises in place of one of its own: for several files, one after another */
  readonly quantizer?: Quantizer;
  /** false writes the model without its tokenizer, for programs that bring their own */
  readonly tokenizer?: boolean;
  readonly signal?: AbortSignal;
  /** called before each tensor is written, with its GGUF name */
  readonly onTensor?: (name: string, type: GgufTypeName) => void;
}

/** What exportGguf wrote. */
export interface ExportedGguf {
  readonly bytes: number;
  readonly tensors: readonly { readonly name: string; readonly type: GgufTypeName }[];
  /** bits per weight: 8 · bytes of the file / weights */
  readonly bitsPerWeight: number;
}

/** the version of ggml's block formats that this writes */
const quantizationVersion = 2;

/**
 * Writes a model as one .gguf file for llama.cpp, with tokenizer and chat template: tensors in the types and the order of llama.cpp's own
 * quantiser, block by block its bytes. A few million weights at a time are in memory. The file appears complete or not at all.
 * Errors: "exists", "io", "input" (type), "missing" and "unsupported" (tokenizer), "data" (more tokens than the embedding has rows),
 * "numeric" (weights that are not finite, or beyond F16).
 */
export async function exportGguf(
  source: ExportSource,
  out: string,
  options: ExportGgufOptions = {},
): Promise<ExportedGguf> {
  const type = checkFileType(options.type ?? "F16");
  await refuseExisting(out);
  const shapes = [...source.tensors.values()].map(({ shape }) => shape);
  const name = options.name ?? basename(source.path).replace(/\.gguf$/i, "");
  const metadata = new Map<string, GgufValue>([
    ...generalMetadata("model", { ...options, name }, sizeLabel(shapes)),
    ...architectureMetadata(source),
    ...(options.tokenizer === false
      ? ([["tokenizer.ggml.model", ["string", "none"]]] satisfies [string, GgufValue][])
      : tokenizerMetadata(source)),
    // last, where llama.cpp's quantiser puts them
    ["general.quantization_version", ["u32", quantizationVersion]],
    ["general.file_type", ["u32", fileTypeId(type)]],
  ]);
  const quantizer =
    options.quantizer ?? createQuantizer(options.threads === undefined ? {} : { threads: options.threads });
  try {
    const { signal, onTensor } = options;
    const tensors = ggufTensors(source, { type, quantizer, signal, onTensor });
    const bytes = await writeGguf(out, metadata, tensors);
    const weights = shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
    return {
      bytes,
      tensors: tensors.map((tensor) => ({ name: tensor.name, type: tensor.type.name })),
      bitsPerWeight: (8 * bytes) / weights,
    };
  } finally {
    if (options.quantizer === undefined) await quantizer.close();
  }
}

/** Code "exists": an export never replaces a file. */
export async function refuseExisting(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found) throw new FtError("exists", `${path} is there already`, "choose another name, or remove it first");
}
