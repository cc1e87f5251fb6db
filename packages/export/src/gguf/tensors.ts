import { ggufName, pairedHeads, permuteRows } from "@ft/models";
import { inverseFrequencies } from "@ft/nn";
import { sizeOf, windowElements } from "@ft/tensor";
import { type GgufEntry, type GgufType, ggufType, type Quantizer } from "@ft/weights";
import type { ExportSource, SourceTensor } from "../source/export-source.ts";
import { type GgufFileType, tensorTypeOf } from "./file-types.ts";

/** How tensors are written. */
export interface TensorOptions {
  readonly type: GgufFileType;
  readonly quantizer: Quantizer;
  readonly signal: AbortSignal | undefined;
  readonly onTensor: ((name: string, type: GgufType["name"]) => void) | undefined;
}

/** The tensors of a .gguf file in llama.cpp's order: those of no layer first, then layer by layer, each by name. */
export function ggufTensors(source: ExportSource, options: TensorOptions): GgufEntry[] {
  const entries = [...source.tensors.values()].map((tensor) => entry(source, tensor, options));
  const divisors = ropeDivisors(source);
  if (divisors) entries.push(divisors);
  return entries.sort((a, b) => layerOf(a.name) - layerOf(b.name) || (a.name < b.name ? -1 : 1));
}

function layerOf(name: string): number {
  return Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1);
}

function entry(source: ExportSource, tensor: SourceTensor, options: TensorOptions): GgufEntry {
  const name = ggufName(tensor.name);
  const type = tensorTypeOf(options.type, { name, shape: tensor.shape }, source.config);
  async function* data(): AsyncGenerator<Uint8Array> {
    options.onTensor?.(name, type.name);
    for await (const values of rowWindows(source, tensor, options.signal))
      yield await options.quantizer.quantize(type, values);
  }
  return { name, shape: tensor.shape, type, data };
}

/** The values in whole rows, some at a time; of q and k in whole heads, with their rows in llama.cpp's order. */
async function* rowWindows(
  source: ExportSource,
  { name, shape }: SourceTensor,
  signal: AbortSignal | undefined,
): AsyncGenerator<Float32Array<ArrayBuffer>> {
  const { headDim } = source.config;
  const paired = pairedHeads(name, source.config) !== undefined;
  const size = sizeOf(shape);
  const row = shape.length > 1 ? shape.at(-1)! : 1;
  const unit = paired ? headDim * row : row;
  const step = unit * Math.max(1, Math.floor(windowElements / unit));
  for (let start = 0; start < size; start += step) {
    signal?.throwIfAborted();
    const values = await source.readWindow(name, start, Math.min(step, size - start));
    yield paired ? permuteRows(values, values.length / unit, headDim) : values;
  }
}

/** What Llama 3's scaling divides each rotary frequency by, [headDim / 2]. */
function ropeDivisors({ config }: ExportSource): GgufEntry | undefined {
  const { ropeTheta: theta, headDim, ropeScaling: scaling } = config;
  if (scaling.type !== "llama3") return undefined;
  const scaled = inverseFrequencies({ theta, headDim, scaling });
  const divisors = inverseFrequencies({ theta, headDim }).map((frequency, i) => frequency / scaled[i]!);
  const type = ggufType("F32");
  async function* data(): AsyncGenerator<Uint8Array> {
    yield type.quantize(divisors);
  }
  return { name: "rope_freqs.weight", shape: [headDim / 2], type, data };
}
