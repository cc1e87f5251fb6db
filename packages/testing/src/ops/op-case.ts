import type { DType, FloatDType, Tensor } from "@ft/tensor";
import type { HostTensor } from "../host.ts";
import type { Random } from "../random.ts";

/** Small shapes, ragged on purpose, or shapes large enough that kernels split them between threads and blocks. */
export type CaseSize = "small" | "large";

/** One random call of an op, ready to be run on any backend. */
export interface CaseInputs {
  readonly inputs: { readonly [name: string]: HostTensor };
  /** names of the inputs that can have a gradient */
  readonly differentiable: readonly string[];
  /** inputs whose buffers the call may take over */
  readonly consumes?: readonly string[];
  /** outputs that must be the same numbers as those of the reference: codes, and what one rounding decides */
  readonly exact?: readonly string[];
  /** axis names that each output must have at run time */
  readonly axes: { readonly [output: string]: readonly string[] };
  /** Runs the public function. Gets a tensor per input; those it consumes are its own. */
  call(tensors: { readonly [name: string]: Tensor<any, any> }): { readonly [output: string]: Tensor };
}

/** How to make inputs of one op at random. */
export interface OpCase {
  /** "attention", or "attention: one tensor as q, k and v" */
  readonly name: string;
  readonly op: { readonly id: symbol; readonly name: string };
  /** dtypes that its inputs need besides the one under test */
  readonly needs?: readonly DType[];
  /** `dtype` is that of the activations; what is not (slots, scalars, ids) follows from it. */
  make(random: Random, dtype: FloatDType, size: CaseSize): CaseInputs;
}

/** Standard normal values. */
export function normals(
  random: Random,
  dtype: DType,
  axes: readonly string[],
  shape: readonly number[],
  scale = 1,
): HostTensor {
  const values = random.list(count(shape), () => scale * random.normal());
  return { dtype, axes, shape, values };
}

/** Whole numbers, both ends included. */
export function integers(
  random: Random,
  axes: readonly string[],
  shape: readonly number[],
  low: number,
  high: number,
): HostTensor {
  return { dtype: "i32", axes, shape, values: random.list(count(shape), () => random.int(low, high)) };
}

/** One number as a 0-d tensor. */
export function number(dtype: DType, value: number): HostTensor {
  return { dtype, axes: [], shape: [], values: [value] };
}

/** A size of an axis, 1 included. */
export function size(random: Random, of: CaseSize): number {
  return of === "small" ? random.int(1, 6) : random.int(130, 180);
}

/** Up to two leading axes and their sizes: an op must not care how many there are. */
export function leading(random: Random, of: CaseSize): { axes: string[]; shape: number[] } {
  const rank = of === "small" ? random.int(0, 2) : 2;
  const shape = of === "small" ? random.list(rank, () => size(random, of)) : [3, size(random, of)];
  return { axes: ["batch", "seq"].slice(0, rank), shape };
}

/** Any axes at all; some 75,000 elements when large. */
export function anyShape(random: Random, of: CaseSize): { axes: string[]; shape: number[] } {
  const { axes, shape } = leading(random, of);
  return of === "small" ? { axes, shape } : { axes: [...axes, "hidden"], shape: [...shape, size(random, of)] };
}

function count(shape: readonly number[]): number {
  return shape.reduce((n, d) => n * d, 1);
}
