import { FtError } from "./error.ts";

/**
 * Element types and the host array that carries each. Packed formats (NF4, 8-bit state) are storage classes over `u8`,
 * never a DType of their own. f16 and bf16 travel as raw 16-bit patterns.
 */
export interface DataOf {
  f64: Float64Array<ArrayBuffer>;
  f32: Float32Array<ArrayBuffer>;
  bf16: Uint16Array<ArrayBuffer>;
  f16: Uint16Array<ArrayBuffer>;
  i32: Int32Array<ArrayBuffer>;
  i8: Int8Array<ArrayBuffer>;
  u8: Uint8Array<ArrayBuffer>;
  bool: Uint8Array<ArrayBuffer>;
}
/** Every dtype of the contract. */
export type DType = keyof DataOf;
/** The dtypes that have gradients. */
export type FloatDType = "f64" | "f32" | "bf16" | "f16";
/** What references and accumulators compute in: f64 for f64, otherwise f32. */
export type WideDType = "f64" | "f32";

/** Bytes of one element as the host stores it. */
export const bytesPerElement: { readonly [D in DType]: number } = {
  f64: 8,
  f32: 4,
  bf16: 2,
  f16: 2,
  i32: 4,
  i8: 1,
  u8: 1,
  bool: 1,
};

/** A typed host array over raw bytes. */
export const dataOf: { readonly [D in DType]: (bytes: ArrayBuffer) => DataOf[D] } = {
  f64: (bytes) => new Float64Array(bytes),
  f32: (bytes) => new Float32Array(bytes),
  bf16: (bytes) => new Uint16Array(bytes),
  f16: (bytes) => new Uint16Array(bytes),
  i32: (bytes) => new Int32Array(bytes),
  i8: (bytes) => new Int8Array(bytes),
  u8: (bytes) => new Uint8Array(bytes),
  bool: (bytes) => new Uint8Array(bytes),
};

/** A dtype and sizes: all that shape inference and memory planning need. */
export interface Spec<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
}

/** True for the four floating-point dtypes. */
export function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === "f64" || dtype === "f32" || dtype === "bf16" || dtype === "f16";
}

/** The dtype a reference computes in before it rounds once. */
export function wideOf(dtype: DType): WideDType {
  return dtype === "f64" ? "f64" : "f32";
}

/** Number of elements; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

/** Bytes of a dense host array of this spec. */
export function bytesOf(spec: Spec): number {
  return sizeOf(spec.shape) * bytesPerElement[spec.dtype];
}

/** Whether two shapes are equal, size by size. */
export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** "2×8×64", or "scalar". */
export function showShape(shape: readonly number[]): string {
  return shape.length === 0 ? "scalar" : shape.join("×");
}

/** Size at an axis, counted from the end when negative. Throws when there is no such axis. */
export function dim(of: { readonly shape: readonly number[] }, axis: number): number {
  const d = of.shape.at(axis);
  if (d === undefined)
    throw new FtError("shape", `[dim] ${showShape(of.shape)} has no axis ${axis}`, "check the rank of the tensor");
  return d;
}
