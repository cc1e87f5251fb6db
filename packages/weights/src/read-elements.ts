import {
  bytesPerElement,
  type DataOf,
  type DType,
  dataOf,
  type FloatDType,
  FtError,
  f32ToBf16,
  f32ToF16,
  isFloat,
} from "@ft/tensor";
import type { Encoding, Integers } from "./encoding.ts";
import type { StoredTensor } from "./source.ts";

/** Values converted at a time: bounds what lies in memory beside the result. */
const step = 2 ** 20;

/** `count` values from `start` on, as `dtype`. The window is known to lie within the tensor. */
export async function readElements<D extends DType>(
  tensor: StoredTensor,
  start: number,
  count: number,
  dtype: D,
): Promise<DataOf[D]> {
  const { encoding, file, position, info } = tensor;
  checkConversion(info.name, encoding, dtype);
  const result = allocate(info.name, count * bytesPerElement[dtype]);
  if (encoding.same && encoding.host === dtype) {
    await file.readInto(new Uint8Array(result), position + start * encoding.bytes);
    return dataOf[dtype](result);
  }
  const { elements, bytes } = encoding;
  const end = start + count;
  const stage = new ArrayBuffer(Math.ceil(Math.min(step, count + 2 * elements) / elements) * bytes);
  for (let from = start; from < end; ) {
    const block = Math.floor(from / elements);
    const to = Math.min(end, block * elements + step);
    const blocks = Math.ceil(to / elements) - block;
    const raw = new Uint8Array(stage, 0, blocks * bytes);
    await file.readInto(raw, position + block * bytes);
    const first = from - block * elements;
    convert(encoding, raw, first, to - from, dtype, result, from - start, info.name);
    from = to;
  }
  return dataOf[dtype](result);
}

/** Converts whole blocks and stores `count` values, from value `first` of them on, at index `at` of the result. */
function convert(
  encoding: Encoding,
  raw: Uint8Array<ArrayBuffer>,
  first: number,
  count: number,
  dtype: DType,
  result: ArrayBuffer,
  at: number,
  name: string,
): void {
  if (encoding.floats && isFloat(dtype)) {
    storeFloats(encoding.floats(raw).subarray(first, first + count), dtype, result, at);
  } else if (encoding.integers) {
    storeIntegers(encoding.integers(raw).subarray(first, first + count), dtype, result, at, name);
  }
}

function storeFloats(from: Float32Array | Float64Array, dtype: FloatDType, result: ArrayBuffer, at: number): void {
  const n = from.length;
  switch (dtype) {
    case "f64":
      new Float64Array(result, at * 8, n).set(from);
      break;
    case "f32":
      new Float32Array(result, at * 4, n).set(from);
      break;
    case "bf16":
      f32ToBf16(oddF32(from), new Uint16Array(result, at * 2, n));
      break;
    case "f16":
      f32ToF16(oddF32(from), new Uint16Array(result, at * 2, n));
      break;
  }
}

/**
 * f64 to f32, rounded to odd: cut, with the last bit set if anything was cut off. Rounding the result to 16 bits then gives what
 * rounding the f64 once would have given; rounding to nearest twice would not (Boldo and Melquiond 2008).
 */
function oddF32(from: Float32Array | Float64Array): Float32Array {
  if (from instanceof Float32Array) return from;
  const out = new Float32Array(from);
  const bits = new Uint32Array(out.buffer);
  for (let i = 0; i < out.length; i++) {
    const exact = from[i]!;
    const near = out[i]!;
    if (near === exact || Number.isNaN(exact)) continue;
    if (Math.abs(near) > Math.abs(exact)) bits[i] = bits[i]! - 1;
    bits[i] = bits[i]! | 1;
  }
  return out;
}

const ranges: { readonly [D in DType]?: readonly [number, number] } = {
  i32: [-(2 ** 31), 2 ** 31 - 1],
  i8: [-128, 127],
  u8: [0, 255],
  bool: [0, 1],
};

function storeIntegers(from: Integers, dtype: DType, result: ArrayBuffer, at: number, name: string): void {
  const out = dataOf[dtype](result);
  const [low, high] = ranges[dtype]!;
  for (let i = 0; i < from.length; i++) {
    const value = from[i]!;
    if (value < low || value > high)
      throw new FtError("dtype", `"${name}" holds ${value}, which ${dtype} cannot`, "read it as a wider dtype");
    out[at + i] = Number(value);
  }
}

function checkConversion(name: string, encoding: Encoding, dtype: DType): void {
  const where = `"${name}" is stored as ${encoding.name}`;
  if (encoding.floats) {
    if (isFloat(dtype)) return;
    throw new FtError("dtype", `${where}, not as whole numbers (${dtype})`, "read it as f32, bf16, f16 or f64");
  }
  if (encoding.integers) {
    if (ranges[dtype] && (dtype === "bool") === (encoding.name === "BOOL")) return;
    throw new FtError("dtype", `${where} and cannot be read as ${dtype}`, `read it as ${encoding.host}`);
  }
  throw new FtError(
    "unsupported",
    `${where}, which cannot be read here`,
    encoding.elements > 1
      ? "convert the model to F16, BF16, Q8_0 or Q4_K first, for GGUF with llama-quantize"
      : "convert the tensor to F32, BF16 or F16 first",
  );
}

function allocate(name: string, bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes);
  } catch (cause) {
    throw new FtError("input", `"${name}": no memory for ${bytes} bytes at once`, "read it by windows, or as bf16", {
      cause,
    });
  }
}
