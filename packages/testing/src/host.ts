import {
  type Backend,
  bytesPerElement,
  type DataOf,
  type DType,
  dataOf,
  f32ToBf16,
  f32ToF16,
  isFloat,
  parameter,
  type Tensor,
  tensor,
} from "@ft/tensor";
import { numbersOf } from "./close.ts";

/** A value that no backend holds yet: what generated cases are made of. */
export interface HostTensor {
  readonly dtype: DType;
  readonly axes: readonly string[];
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}

/** Values in the host array of a dtype, rounded to it. */
export function encode(dtype: DType, values: ArrayLike<number>): DataOf[DType] {
  if (dtype === "bf16") return f32ToBf16(Float32Array.from(values));
  if (dtype === "f16") return f32ToF16(Float32Array.from(values));
  const data = dataOf[dtype](new ArrayBuffer(values.length * bytesPerElement[dtype]));
  data.set(values);
  return data;
}

/** What is left of values once a dtype has held them. */
export function roundTo(dtype: DType, values: ArrayLike<number>): ArrayLike<number> {
  return numbersOf(dtype, encode(dtype, values));
}

/** Brings a host value to a backend: floats as parameters, so that they can be differentiated. */
export function upload(backend: Backend, host: HostTensor): Tensor {
  const { dtype, axes, shape, values } = host;
  const data = encode(dtype, values);
  if (isFloat(dtype)) return parameter<any, readonly string[]>(backend, dtype, axes, shape, data);
  return tensor<DType, readonly string[]>(backend, dtype, axes, shape, data);
}

/** The same value with every float as f64: what the f64 reference is fed, after the rounding to the dtype under test. */
export function widened(host: HostTensor): HostTensor {
  return isFloat(host.dtype) ? { ...host, dtype: "f64", values: roundTo(host.dtype, host.values) } : host;
}

/** The values of a tensor as plain numbers. */
export async function numbers(x: Tensor): Promise<ArrayLike<number>> {
  return numbersOf(x.dtype, await x.read());
}
