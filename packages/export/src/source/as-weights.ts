import type { ModelFacts } from "@ft/models";
import { bytesPerElement, type DataOf, type DType, FtError, f32ToBf16, f32ToF16, sizeOf } from "@ft/tensor";
import type { TensorInfo, WeightSource } from "@ft/weights";
import type { ExportSource } from "./export-source.ts";

/** An export source as weights that loadModelFrom takes: a merged model in memory, or quantised on the way there. */
export function asWeights(source: ExportSource): { readonly weights: WeightSource; readonly facts: ModelFacts } {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, { shape, dtype }] of source.tensors) {
    const size = sizeOf(shape);
    const bytes = size * bytesPerElement[dtype];
    tensors.set(name, { name, dtype: dtype.toUpperCase(), shape, size, bytes, host: dtype });
  }
  const close = async (): Promise<void> => {};
  const weights: WeightSource = {
    ...{ format: "safetensors", path: source.path, metadata: new Map(), tensors },
    read: (name, dtype) => converted(source, name, 0, tensors.get(name)?.size ?? 0, dtype),
    readWindow: (name, start, count, dtype) => converted(source, name, start, count, dtype),
    close,
    [Symbol.asyncDispose]: close,
  };
  return { weights, facts: { config: source.config, quantized: false } };
}

async function converted<D extends DType>(
  source: ExportSource,
  name: string,
  start: number,
  count: number,
  dtype: D,
): Promise<DataOf[D]>;
async function converted(
  source: ExportSource,
  name: string,
  start: number,
  count: number,
  dtype: DType,
): Promise<DataOf[DType]> {
  const values = await source.readWindow(name, start, count);
  switch (dtype) {
    case "f32":
      return values;
    case "bf16":
      return f32ToBf16(values);
    case "f16":
      return f32ToF16(values);
    case "f64":
      return Float64Array.from(values);
    default:
      throw new FtError("dtype", `[export] ${name} as ${dtype}`, "weights are read as floats");
  }
}
