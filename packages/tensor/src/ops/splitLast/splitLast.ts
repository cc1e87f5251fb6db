import type { View } from "../../backend.ts";
import { type DType, dim, showShape, sizeOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of a change of shape, as kernels and references see them. */
export type Reshape = { in: { x: View }; out: { y: View }; attrs: { shape: readonly number[] }; keeps: {}; saved: {} };

/** Shares the storage: no kernel, no copy. */
export const reshapeOp: Op<Reshape> = defineOp<Reshape>({
  name: "reshape",
  keeps: () => ({}),
  infer({ in: { x }, attrs: { shape } }) {
    const whole = shape.every((size) => Number.isSafeInteger(size) && size >= 0);
    if (!whole || sizeOf(x.shape) !== sizeOf(shape))
      throw new FtError(
        "shape",
        `[reshape] ${showShape(x.shape)} to ${showShape(shape)}`,
        "keep the number of elements, in whole sizes",
      );
    return { out: { y: { dtype: x.dtype, shape } }, saved: {} };
  },
  forward: (p, { in: { x }, attrs: { shape } }) => ({ out: { y: p.reshape(x, shape) }, saved: {} }),
  vjp: (p, { grad: { y }, spec }) => ({ x: p.reshape(y, spec.x.shape) }),
});

/** [..., n] -> [..., n / inner, inner] under two new names: hidden to heads × headDim. */
export function splitLast<D extends DType, B extends Axes, S extends string, const N extends readonly [string, string]>(
  x: Tensor<D, readonly [...B, S]>,
  names: N,
  inner: number,
): Tensor<D, readonly [...B, N[0], N[1]]> {
  const shape = [...x.shape.slice(0, -1), dim(x, -1) / inner, inner];
  return run(reshapeOp, { in: { x }, attrs: { shape }, axes: { y: [...x.axes.slice(0, -1), ...names] } }).y;
}
