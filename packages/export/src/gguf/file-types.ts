import type { LlamaConfig } from "@ft/models";
import { FtError } from "@ft/tensor";
import { type GgufType, type GgufTypeName, ggufType } from "@ft/weights";

/** Types of .gguf files, in llama.cpp's order of quality, best first; M and S mix types by layer. */
export const ggufFileTypes = [
  "F32",
  "BF16",
  "F16",
  "Q8_0",
  "Q6_K",
  "Q5_K_M",
  "Q5_K_S",
  "Q5_1",
  "Q5_0",
  "Q4_K_M",
  "Q4_K_S",
  "Q4_1",
  "Q4_0",
] as const;

/** What a .gguf file's weights are written as. */
export type GgufFileType = (typeof ggufFileTypes)[number];

/** `general.file_type` (llama_ftype), and the type that most matrices have. */
const facts: { readonly [F in GgufFileType]: { readonly id: number; readonly most: GgufTypeName } } = {
  F32: { id: 0, most: "F32" },
  F16: { id: 1, most: "F16" },
  Q4_0: { id: 2, most: "Q4_0" },
  Q4_1: { id: 3, most: "Q4_1" },
  Q8_0: { id: 7, most: "Q8_0" },
  Q5_0: { id: 8, most: "Q5_0" },
  Q5_1: { id: 9, most: "Q5_1" },
  Q4_K_S: { id: 14, most: "Q4_K" },
  Q4_K_M: { id: 15, most: "Q4_K" },
  Q5_K_S: { id: 16, most: "Q5_K" },
  Q5_K_M: { id: 17, most: "Q5_K" },
  Q6_K: { id: 18, most: "Q6_K" },
  BF16: { id: 32, most: "BF16" },
};

/** Whether a name is that of a type of file that can be written. */
export function isGgufFileType(name: string): name is GgufFileType {
  return Object.hasOwn(facts, name);
}

export function fileTypeId(type: GgufFileType): number {
  return facts[type].id;
}

/**
 * The type of one tensor, by its GGUF name, in a file of a type, as llama.cpp's llama_model_quantize chooses it without an importance
 * matrix: vectors in F32, some layers and the output in more bits, smaller blocks where a row is no whole number of large ones.
 */
export function tensorTypeOf(
  file: GgufFileType,
  { name, shape }: { readonly name: string; readonly shape: readonly number[] },
  config: LlamaConfig,
): GgufType {
  if (shape.length < 2) return ggufType("F32");
  const { most } = facts[file];
  const row = shape.at(-1)!;
  return ggufType(ggufType(most).elements === 1 ? most : fitting(chosen(file, most, name, row, config), row));
}

function chosen(file: GgufFileType, most: GgufTypeName, name: string, row: number, config: LlamaConfig): GgufTypeName {
  const { layers, heads, kvHeads, tieWordEmbeddings } = config;
  const output = name === "output.weight" || (tieWordEmbeddings && name === "token_embd.weight");
  if (output) return most === "Q8_0" || row % ggufType(most).elements !== 0 ? "Q8_0" : "Q6_K";
  const [, index, part] = /^blk\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
  const layer = Number(index);
  const mixed = file === "Q4_K_M" || file === "Q5_K_M";
  if (part === "attn_v") {
    if (mixed && moreBits(layer, layers)) return "Q6_K";
    if (file === "Q4_K_S" && layer < 4) return "Q5_K";
    // Llama 2 and 3 of 70 billion weights: v is small beside q there
    if (most === "Q4_K" && layers === 80 && heads !== kvHeads) return "Q5_K";
  }
  if (part === "ffn_down") {
    if (mixed && moreBits(layer, layers)) return "Q6_K";
    if (file === "Q4_K_S" && layer < Math.floor(layers / 8)) return "Q5_K";
  }
  return most;
}

/** The first and last eighth of the layers, and every third between. */
function moreBits(layer: number, layers: number): boolean {
  const eighth = Math.floor(layers / 8);
  return layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2;
}

const smaller: { readonly [N in GgufTypeName]?: GgufTypeName } = { Q4_K: "Q5_0", Q5_K: "Q5_1", Q6_K: "Q8_0" };

function fitting(wanted: GgufTypeName, row: number): GgufTypeName {
  if (row % ggufType(wanted).elements === 0) return wanted;
  const next = smaller[wanted] ?? wanted;
  return row % ggufType(next).elements === 0 ? next : "F16";
}

/** Refuses a name that is none of the types. */
export function checkFileType(name: string): GgufFileType {
  if (isGgufFileType(name)) return name;
  throw new FtError("input", `[exportGguf] there is no type "${name}"`, `use ${ggufFileTypes.join(", ")}`);
}
