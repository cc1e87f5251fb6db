import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { FtError, sizeOf } from "@ft/tensor";
import { createQuantizer, type GgufTypeName, type GgufValue, type Quantizer, writeGguf } from "@ft/weights";
import type { ExportSource } from "../source/export-source.ts";
import { checkFileType, fileTypeId, type GgufFileType } from "./file-types.ts";
import {
  architectureMetadata,
  type GgufOrigin,
  generalMetadata,
  quantizationVersion,
  sizeLabel,
} from "./model-metadata.ts";
import { ggufTensors } from "./tensors.ts";
import type { SpecialTokenMetadata } from "./tokenizer/special-tokens.ts";
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
  /** ids that end an answer for the model and that the file has no place for: it has three; llama.cpp knows some more by their texts */
  readonly droppedEndIds: readonly number[];
}

const withoutTokenizer: SpecialTokenMetadata = {
  entries: [["tokenizer.ggml.model", ["string", "none"]]],
  droppedEndIds: [],
};

/**
 * Writes a model as one .gguf file for llama.cpp, with tokenizer and chat template: tensors in the types and the order of llama.cpp's own
 * quantiser, block by block its bytes. A few million weights at a time are in memory. The file appears complete or not at all, and replaces none.
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
  const tokenizer = options.tokenizer === false ? withoutTokenizer : tokenizerMetadata(source);
  const metadata = new Map<string, GgufValue>([
    ...generalMetadata("model", { ...options, name }, sizeLabel(shapes)),
    ...architectureMetadata(source),
    ...tokenizer.entries,
    // last, where llama.cpp's quantiser puts them
    quantizationVersion,
    ["general.file_type", ["u32", fileTypeId(type)]],
  ]);
  const quantizer =
    options.quantizer ?? createQuantizer(options.threads === undefined ? {} : { threads: options.threads });
  try {
    const { signal, onTensor } = options;
    const tensors = ggufTensors(source, { type, quantizer, signal, onTensor });
    const bytes = await writeGguf(out, metadata, tensors, { replace: false });
    const weights = shapes.reduce((sum, shape) => sum + sizeOf(shape), 0);
    return {
      bytes,
      tensors: tensors.map((tensor) => ({ name: tensor.name, type: tensor.type.name })),
      bitsPerWeight: (8 * bytes) / weights,
      droppedEndIds: tokenizer.droppedEndIds,
    };
  } finally {
    if (options.quantizer === undefined) await quantizer.close();
  }
}

/** Code "exists", before the work instead of after it: an export never replaces a file. */
export async function refuseExisting(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found) throw new FtError("exists", `${path} is there already`, "choose another name, or remove it first");
}
