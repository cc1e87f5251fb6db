import { bf16ToF32, type DataOf, type FloatDType, FtError, f16ToF32, type Tensor } from "@ft/tensor";

/** Dtypes of the weights that bitsandbytes quantises. */
export type HeldDType = "f32" | "bf16" | "f16";

/** A float weight [out, in] that is read when it is quantised, in windows of whole blocks. */
export interface HostWeight {
  /** for messages: the tensor, and the file where it has one */
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly dtype: HeldDType;
  /** `count` values from the flat index `start` on, row-major */
  read(start: number, count: number): Promise<DataOf[HeldDType]>;
}

/** A tensor [out, in] as a HostWeight: f64 is rounded to f32. Reads it once, as a whole. */
export async function hostWeight(
  name: string,
  weight: Tensor<FloatDType, readonly [string, string]>,
): Promise<HostWeight> {
  const [out, inner] = weight.shape;
  const data = await weight.read();
  const values = data instanceof Float64Array ? Float32Array.from(data) : data;
  return {
    name,
    shape: [out!, inner!],
    dtype: weight.dtype === "f64" ? "f32" : weight.dtype,
    read: async (start, count) => values.slice(start, start + count),
  };
}

/** Values of a window as f32. */
export function widen(dtype: HeldDType, data: DataOf[HeldDType]): Float32Array<ArrayBuffer> {
  if (data instanceof Float32Array) return data;
  return dtype === "bf16" ? bf16ToF32(data) : f16ToF32(data);
}

/** Throws, naming the weight and the element, when a value is infinite or not a number. `start` is the window's. */
export function checkFinite({ name, dtype, shape }: HostWeight, data: DataOf[HeldDType], start: number): void {
  const bits = data instanceof Float32Array ? new Uint32Array(data.buffer, data.byteOffset, data.length) : data;
  // every exponent bit set: infinity or NaN
  const mask = { f32: 0x7f800000, bf16: 0x7f80, f16: 0x7c00 }[dtype];
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i]! & mask) !== mask) continue;
    const [row, column] = [Math.floor((start + i) / shape[1]), (start + i) % shape[1]];
    const [value] = widen(dtype, data.slice(i, i + 1));
    throw new FtError(
      "numeric",
      `[quantize] ${name} is ${value} at row ${row}, column ${column}`,
      "weights that are not finite cannot be quantised: use a checkpoint from before training diverged",
    );
  }
}
