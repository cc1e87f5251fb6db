import type { Storage, Stored } from "../src/native/abi.ts";
import { values } from "./native-support.ts";

/** A weight as it is stored, and the f32 values it stands for by the definition of its format. */
export interface Weight {
  readonly stored: Stored;
  readonly scales: Float32Array | null;
  readonly block: number;
  readonly plain: Float32Array;
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

function bf16(rows: number, ld: number, seed: number): Weight {
  const stored = new Uint16Array(new Uint32Array(values(rows * ld, seed).buffer).map((bits) => bits >>> 16));
  const plain = Float32Array.from(stored, (bits) => {
    word[0] = bits * 65536;
    return float[0]!;
  });
  return { stored, scales: null, block: 0, plain };
}

/** Subnormals among them; exponents stay below Inf. */
function f16(rows: number, ld: number, seed: number): Weight {
  const stored = Uint16Array.from(values(rows * ld, seed), (x, i) => {
    const exponent = i % 17 === 0 ? 0 : 12 + (i % 4);
    return (x < 0 ? 0x8000 : 0) | (exponent << 10) | Math.floor(Math.abs(x) * 1024);
  });
  const plain = Float32Array.from(stored, (bits) => {
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
    const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
    return bits & 0x8000 ? -size : size;
  });
  return { stored, scales: null, block: 0, plain };
}

function int8(rows: number, ld: number, seed: number): Weight {
  const stored = Int8Array.from(values(rows * ld, seed), (x) => Math.floor(x * 128));
  const scales = values(rows, seed + 1, 0.01);
  const plain = Float32Array.from(stored, (q, i) => q * scales[Math.floor(i / ld)]!);
  return { stored, scales, block: 0, plain };
}

// the tables bitsandbytes documents and ships
const nf4Codes = [
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
];
const fp4Codes = [0, 0.005208333333, 0.66666667, 1, 0.33333333, 0.5, 0.16666667, 0.25].flatMap((x) => [x, -x]);
const fp4Value = (code: number): number => Math.fround(fp4Codes[(code % 8) * 2 + (code >> 3)]!);

/** The values of the 16 codes. */
export const codeValues: { readonly nf4: Float32Array; readonly fp4: Float32Array } = {
  nf4: Float32Array.from(nf4Codes),
  fp4: Float32Array.from({ length: 16 }, (_, code) => fp4Value(code)),
};

function four(type: "nf4" | "fp4", rows: number, ld: number, seed: number): Weight {
  const block = 16 << (rows % 3);
  const stored = Uint8Array.from(values(Math.ceil((rows * ld) / 2), seed), (x) => Math.floor((x + 1) * 128));
  const scales = values(Math.ceil((rows * ld) / block), seed + 1);
  const plain = Float32Array.from({ length: rows * ld }, (_, i) => {
    const code = i % 2 ? stored[(i - 1) / 2]! % 16 : Math.floor(stored[i / 2]! / 16);
    return codeValues[type][code]! * scales[Math.floor(i / block)]!;
  });
  return { stored, scales, block, plain };
}

/** Every storage besides f32, and how to make an arbitrary matrix in it. */
export const storages: readonly {
  name: string;
  storage: Storage;
  make: (rows: number, ld: number, seed: number) => Weight;
}[] = [
  { name: "bf16", storage: 1, make: bf16 },
  { name: "f16", storage: 2, make: f16 },
  { name: "int8", storage: 3, make: int8 },
  { name: "NF4", storage: 4, make: (...of) => four("nf4", ...of) },
  { name: "FP4", storage: 5, make: (...of) => four("fp4", ...of) },
];
