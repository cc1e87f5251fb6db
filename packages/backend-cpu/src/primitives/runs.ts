/*
 * One walk over a dense row-major index space serves every strided kernel: axes that an operand crosses evenly are merged,
 * and what is left is a few long runs instead of one step per element.
 */

/** Receives the position in the dense space, the length of the run, and per operand its offset and its step along the run. */
export type Run = (start: number, count: number, at: readonly number[], step: readonly number[]) => void;

/** Calls `run` for every innermost run of `shape`; `strides[k][axis]` is how far operand k moves along that axis. */
export function eachRun(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  offsets: readonly number[],
  run: Run,
): void {
  const sizes: number[] = []; // merged axes, innermost first
  const steps: number[][] = strides.map(() => []);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis]!;
    if (size === 0) return;
    if (size === 1) continue;
    const last = sizes.length - 1;
    const merges = last >= 0 && strides.every((s, k) => s[axis] === steps[k]![last]! * sizes[last]!);
    if (merges) {
      sizes[last]! *= size;
    } else {
      sizes.push(size);
      for (const [k, s] of strides.entries()) steps[k]!.push(s[axis]!);
    }
  }
  const count = sizes[0] ?? 1;
  const step = steps.map((s) => s[0] ?? 0);
  const at = [...offsets];
  const index = new Array<number>(sizes.length).fill(0);
  for (let start = 0; ; start += count) {
    run(start, count, at, step);
    let axis = 1;
    for (; axis < sizes.length; axis++) {
      const moved = ++index[axis]! < sizes[axis]!;
      for (let k = 0; k < at.length; k++) at[k]! += moved ? steps[k]![axis]! : steps[k]![axis]! * (1 - sizes[axis]!);
      if (moved) break;
      index[axis] = 0;
    }
    if (axis >= sizes.length) return;
  }
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
