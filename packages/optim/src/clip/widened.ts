import { defineOp, type Op, run, type Tensor, type View, type WideDType } from "@ft/tensor";
import type { Scalar } from "../optimizer.ts";

type Widened = { in: { x: View; by: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} };

/** x · by in the dtype of `by`, so that a 16-bit gradient is not rounded a second time. */
const widenedOp: Op<Widened> = defineOp<Widened>({
  name: "optim/widened",
  keeps: () => ({}),
  infer: ({ in: { x, by } }) => ({ out: { y: { dtype: by.dtype, shape: x.shape } }, saved: {} }),
  forward: (p, { in: { x, by } }) => ({ out: { y: p.mul(p.cast(x, by.dtype), by) }, saved: {} }),
});

/** A gradient, scaled and in the dtype that steps are computed in. */
export function widened(x: Tensor, by: Scalar): Tensor<WideDType> {
  return run(widenedOp, { in: { x, by }, attrs: {}, axes: { y: x.axes } }).y;
}
