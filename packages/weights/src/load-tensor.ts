import {
  type Axes,
  type Backend,
  type DataOf,
  type FloatDType,
  FtError,
  type Parameter,
  parameter,
  sameShape,
  showShape,
  takesPieces,
} from "@ft/tensor";
import type { WeightSource } from "./source.ts";
import { streamTensor } from "./stream-tensor.ts";

/** Where a stored tensor goes, and in which dtype. */
export interface LoadOptions<D extends FloatDType, A extends Axes> {
  readonly dtype: D;
  /** names of the axes, outermost first */
  readonly axes: A;
  /** the shape the model expects; another one is an error */
  readonly shape?: readonly number[];
  /** reorders the values on the way, such as llama.cpp's permuted rows; it may work in place */
  readonly transform?: (data: DataOf[D], shape: readonly number[]) => DataOf[D];
}

/**
 * Reads a tensor of a weight file into a parameter of a backend, converted to `dtype`. A backend of its own memory, such as
 * a card's, gets it piece by piece, unless it is transformed on the way.
 */
export async function loadTensor<D extends FloatDType, const A extends Axes>(
  source: WeightSource,
  name: string,
  backend: Backend,
  options: LoadOptions<D, A>,
): Promise<Parameter<D, A>> {
  const { dtype, axes, transform } = options;
  const info = source.tensors.get(name);
  const shape = info?.shape ?? [];
  const expected = options.shape ?? shape;
  const fits = sameShape(shape, expected) && shape.length === axes.length;
  if (info && !fits)
    throw new FtError(
      "shape",
      `${source.path}: "${name}" is ${showShape(shape)}, not ${showShape(expected)} (${axes.join(", ")})`,
      "the weights belong to another configuration: use the config.json that came with them",
    );
  if (info && transform === undefined && takesPieces(backend))
    return streamTensor(source, info, backend, { dtype, axes });
  const data = await source.read(name, dtype);
  return parameter(backend, dtype, axes, shape, transform ? transform(data, shape) : data, { give: true });
}
