import { bf16ToF32, type DType, f16ToF32 } from "@ft/tensor";
import type { BlockFormat } from "./gguf-blocks/block-format.ts";
import { q2_k } from "./gguf-blocks/q2_k.ts";
import { q3_k } from "./gguf-blocks/q3_k.ts";
import { q4_0 } from "./gguf-blocks/q4_0.ts";
import { q4_1 } from "./gguf-blocks/q4_1.ts";
import { q4_k } from "./gguf-blocks/q4_k.ts";
import { q5_0 } from "./gguf-blocks/q5_0.ts";
import { q5_1 } from "./gguf-blocks/q5_1.ts";
import { q5_k } from "./gguf-blocks/q5_k.ts";
import { q6_k } from "./gguf-blocks/q6_k.ts";
import { q8_0 } from "./gguf-blocks/q8_0.ts";

/** Whole numbers as they lie in the file. */
export type Integers =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** How a file format stores elements: blocks of `elements` values in `bytes` bytes (1 value for everything unquantised). */
export interface Encoding {
  /** the file's name for it: "BF16", "Q4_0" */
  readonly name: string;
  readonly elements: number;
  readonly bytes: number;
  /** the dtype to read it as when nothing else is wanted; absent when it cannot be read */
  readonly host?: DType;
  /** whether the bytes in the file are a host array of `host` already */
  readonly same?: boolean;
  /** decodes whole blocks; `bytes` starts at an 8-byte boundary */
  readonly floats?: (bytes: Uint8Array<ArrayBuffer>) => Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
  readonly integers?: (bytes: Uint8Array<ArrayBuffer>) => Integers;
}

const f64: Encoding = {
  ...{ name: "F64", elements: 1, bytes: 8, host: "f64", same: true },
  floats: (b) => new Float64Array(b.buffer, b.byteOffset, b.length / 8),
};
const f32: Encoding = {
  ...{ name: "F32", elements: 1, bytes: 4, host: "f32", same: true },
  floats: (b) => new Float32Array(b.buffer, b.byteOffset, b.length / 4),
};
const bf16: Encoding = {
  ...{ name: "BF16", elements: 1, bytes: 2, host: "bf16", same: true },
  floats: (b) => bf16ToF32(new Uint16Array(b.buffer, b.byteOffset, b.length / 2)),
};
const f16: Encoding = {
  ...{ name: "F16", elements: 1, bytes: 2, host: "f16", same: true },
  floats: (b) => f16ToF32(new Uint16Array(b.buffer, b.byteOffset, b.length / 2)),
};
const i8: Encoding = {
  ...{ name: "I8", elements: 1, bytes: 1, host: "i8", same: true },
  integers: (b) => new Int8Array(b.buffer, b.byteOffset, b.length),
};
const u8: Encoding = { name: "U8", elements: 1, bytes: 1, host: "u8", same: true, integers: (b) => b };
const bool: Encoding = { name: "BOOL", elements: 1, bytes: 1, host: "bool", integers: (b) => b };
const i16: Encoding = {
  ...{ name: "I16", elements: 1, bytes: 2, host: "i32" },
  integers: (b) => new Int16Array(b.buffer, b.byteOffset, b.length / 2),
};
const u16: Encoding = {
  ...{ name: "U16", elements: 1, bytes: 2, host: "i32" },
  integers: (b) => new Uint16Array(b.buffer, b.byteOffset, b.length / 2),
};
const i32: Encoding = {
  ...{ name: "I32", elements: 1, bytes: 4, host: "i32", same: true },
  integers: (b) => new Int32Array(b.buffer, b.byteOffset, b.length / 4),
};
const u32: Encoding = {
  ...{ name: "U32", elements: 1, bytes: 4, host: "i32" },
  integers: (b) => new Uint32Array(b.buffer, b.byteOffset, b.length / 4),
};
const i64: Encoding = {
  ...{ name: "I64", elements: 1, bytes: 8, host: "i32" },
  integers: (b) => new BigInt64Array(b.buffer, b.byteOffset, b.length / 8),
};
const u64: Encoding = {
  ...{ name: "U64", elements: 1, bytes: 8, host: "i32" },
  integers: (b) => new BigUint64Array(b.buffer, b.byteOffset, b.length / 8),
};

/** Sizes are known, so that a file can be checked; the values cannot be read. */
function opaque(name: string, elements: number, bytes: number): Encoding {
  return { name, elements, bytes };
}

function blocks({ name, id, elements, bytes, dequantize }: BlockFormat): [id: number, encoding: Encoding] {
  return [id, { name, elements, bytes, host: "f32", floats: dequantize }];
}

const byName = (all: readonly Encoding[]) => new Map(all.map((s) => [s.name, s]));

/** By the dtype name in a safetensors header. */
export const safetensorsEncodings: ReadonlyMap<string, Encoding> = byName([
  ...[f64, f32, bf16, f16, i8, u8, bool, i16, u16, i32, u32, i64, u64],
  ...["F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"].map((name) => opaque(name, 1, 1)),
  ...[opaque("F6_E2M3", 4, 3), opaque("F6_E3M2", 4, 3), opaque("F4", 2, 1), opaque("C64", 1, 8)],
]);

/** By the type number in a GGUF tensor record (`ggml_type`). */
export const ggufEncodings: ReadonlyMap<number, Encoding> = new Map<number, Encoding>([
  [0, f32],
  [1, f16],
  ...[q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k].map(blocks),
  [9, opaque("Q8_1", 32, 40)],
  [15, opaque("Q8_K", 256, 292)],
  [16, opaque("IQ2_XXS", 256, 66)],
  [17, opaque("IQ2_XS", 256, 74)],
  [18, opaque("IQ3_XXS", 256, 98)],
  [19, opaque("IQ1_S", 256, 50)],
  [20, opaque("IQ4_NL", 32, 18)],
  [21, opaque("IQ3_S", 256, 110)],
  [22, opaque("IQ2_S", 256, 82)],
  [23, opaque("IQ4_XS", 256, 136)],
  [24, i8],
  [25, i16],
  [26, i32],
  [27, i64],
  [28, f64],
  [29, opaque("IQ1_M", 256, 56)],
  [30, bf16],
  [34, opaque("TQ1_0", 256, 54)],
  [35, opaque("TQ2_0", 256, 66)],
  [39, opaque("MXFP4", 32, 17)],
  [40, opaque("NVFP4", 64, 36)],
  [41, opaque("Q1_0", 128, 18)],
]);
