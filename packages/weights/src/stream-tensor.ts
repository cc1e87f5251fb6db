import {
  type Axes,
  type Backend,
  type FloatDType,
  fromPieces,
  type Parameter,
  putInto,
  readAhead,
  sizeOf,
  tensor,
  toParameter,
  unwritten,
} from "@ft/tensor";
import type { TensorInfo, WeightSource } from "./source.ts";

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
  // f64 is converted on the host, which rounds it to a half once; a backend may go by way of f32
  const sent = host === "f32" || host === "bf16" || host === "f16";
  if (!sent || host === dtype || !backend.dtypes.has(host)) {
    const read = (start: number, count: number) => source.readWindow(name, start, count, dtype);
    return toParameter(await fromPieces(backend, { dtype, axes, shape }, read));
  }
  const made = unwritten(backend, dtype, axes, shape);
  const read = (start: number, count: number) => source.readWindow<FloatDType>(name, start, count, host);
  try {
    for await (const [start, data] of readAhead(sizeOf(shape), read)) {
      using piece = tensor<FloatDType, readonly string[]>(backend, host, ["element"], [data.length], data);
      putInto(piece, made, start);
    }
    return toParameter(made);
  } catch (error) {
    made.dispose();
    throw error;
  }
}
