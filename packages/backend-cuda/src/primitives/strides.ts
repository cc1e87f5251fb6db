import { FtError } from "@ft/tensor";

/** Axes that a kernel's index space may have, after neighbours were merged. */
const most = 6;

/** An index space and the strides of operands in it, outermost axis first, filled up with axes of size 1. */
export interface Walk {
  readonly sizes: readonly number[];
  /** per operand */
  readonly strides: readonly (readonly number[])[];
}

/** Row-major strides of a dense array. */
export function denseStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** Strides with which a dense array of `shape` is read along the axes of `over`: 0 where it is broadcast. */
export function broadcastStrides(shape: readonly number[], over: readonly number[]): number[] {
  const dense = denseStrides(shape);
  const lead = over.length - shape.length;
  return over.map((_, axis) => (axis < lead || shape[axis - lead] === 1 ? 0 : dense[axis - lead]!));
}

/** Merges axes that every operand crosses evenly, leaves out those of size 1, and fills up to what kernels take. */
export function walk(shape: readonly number[], strides: readonly (readonly number[])[]): Walk {
  const sizes: number[] = [];
  const steps: number[][] = strides.map(() => []);
  for (const [axis, size] of shape.entries()) {
    if (size === 1) continue;
    const last = sizes.length - 1;
    const merges = last >= 0 && strides.every((s, k) => steps[k]![last] === s[axis]! * size);
    if (merges) {
      sizes[last]! *= size;
      for (const [k, s] of strides.entries()) steps[k]![last] = s[axis]!;
    } else {
      sizes.push(size);
      for (const [k, s] of strides.entries()) steps[k]!.push(s[axis]!);
    }
  }
  if (sizes.length > most)
    throw new FtError("unsupported", `[cuda] ${sizes.length} axes that do not merge`, `use at most ${most}`);
  const filled = (values: readonly number[], by: number): number[] => [
    ...new Array<number>(most - values.length).fill(by),
    ...values,
  ];
  return { sizes: filled(sizes, 1), strides: steps.map((s) => filled(s, 0)) };
}
