import type { View } from "../../backend.ts";
import { type DType, dim } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of slice, as kernels and references see them. */
export type Slice = {
  in: { x: View };
  out: { y: View };
  attrs: { axis: number; start: number; end: number };
  keeps: {};
  saved: {};
};

/** The gradient is zero outside the slice. */
export const sliceOp: Op<Slice> = defineOp<Slice>({
  name: "slice",
  keeps: () => ({}),
  infer: ({ in: { x }, attrs: { axis, start, end } }) => ({
    out: { y: { dtype: x.dtype, shape: x.shape.map((d, i) => (i === axis ? end - start : d)) } },
    saved: {},
  }),
  forward: (p, { in: { x }, attrs: { axis, start, end } }) => ({ out: { y: p.slice(x, axis, start, end) }, saved: {} }),
  vjp(p, { grad: { y }, attrs: { axis, start, end }, spec }) {
    const zeros = (n: number): View[] =>
      n === 0 ? [] : [p.fill({ dtype: y.dtype, shape: y.shape.map((d, i) => (i === axis ? n : d)) }, 0)];
    return { x: p.concat([...zeros(start), y, ...zeros(dim(spec.x, axis) - end)], axis) };
  },
});

/** x from `start` to before `end` along the axis of this name; both count from the end when negative. */
export function slice<D extends DType, A extends Axes>(
  x: Tensor<D, A>,
  axis: A[number],
  start: number,
  end?: number,
): Tensor<D, A> {
  const at = x.axes.indexOf(axis);
  const size = x.shape[at];
  if (size === undefined)
    throw new FtError("axes", `[slice] ${x} has no axis ${axis}`, `name one of ${x.axes.join(", ")}`);
  const from = start < 0 ? start + size : start;
  const to = end === undefined ? size : end < 0 ? end + size : end;
  return run(sliceOp, { in: { x }, attrs: { axis: at, start: from, end: to }, axes: { y: x.axes } }).y;
}
