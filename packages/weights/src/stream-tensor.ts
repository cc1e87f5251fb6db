import {
  type Axes,
  type Backend,
  type FloatDType,
  hasWindows,
  type Parameter,
  putInto,
  readAhead,
  sizeOf,
  tensor,
  toParameter,
  unwritten,
  writeInto,
} from "@ft/tensor";
import type { TensorInfo, WeightSource } from "./source.ts";

/** Whether tensors reach a backend piece by piece: where it takes a host array over as it is, a whole one costs nothing more. */
export function streams(backend: Backend): boolean {
  return hasWindows(backend) && backend.adopt === undefined;
}

/**
 * Reads a tensor of a weight file into a parameter in pieces: the host holds a few of them at a time, never the whole. Values
 * travel as the file has them and are converted by the backend, where it holds what the file has.
 */
export async function streamTensor<D extends FloatDType, const A extends Axes>(
  source: WeightSource,
  { name, shape, host }: TensorInfo,
  backend: Backend,
  { dtype, axes }: { readonly dtype: D; readonly axes: A },
): Promise<Parameter<D, A>> {
  // a half of an f64 is rounded once on the host; a backend may go by way of f32
  const narrow = host === "f32" || host === "bf16" || host === "f16";
  const from: FloatDType = narrow && backend.dtypes.has(host) ? host : dtype;
  const made = unwritten(backend, dtype, axes, shape);
  const size = sizeOf(shape);
  try {
    if (from === dtype) {
      const read = (start: number, count: number) => source.readWindow(name, start, count, dtype);
      for await (const [start, data] of readAhead(size, read)) writeInto<D>(data, made, start);
    } else {
      const read = (start: number, count: number) => source.readWindow<FloatDType>(name, start, count, from);
      for await (const [start, data] of readAhead(size, read)) {
        using piece = tensor<FloatDType, readonly string[]>(backend, from, ["element"], [data.length], data);
        putInto(piece, made, start);
      }
    }
  } catch (error) {
    made.dispose();
    throw error;
  }
  return toParameter(made);
}
