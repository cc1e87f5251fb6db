import { defineOp, dim, type FloatDType, FtError, type Op, run, type Tensor, type View } from "@ft/tensor";

type LastRows = { in: { x: View; at: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} };

/** Rows of x [batch, seq, width] by their number in [batch·seq], one per row of the batch: [batch, 1, width]. */
const lastRowsOp: Op<LastRows> = defineOp<LastRows>({
  name: "models/lastRows",
  keeps: () => ({}),
  infer({ in: { x, at } }) {
    if (x.shape.length !== 3 || at.shape.length !== 1)
      throw new FtError("shape", "[lastRows] x or at has another rank", "x is [batch, seq, width], at is [batch]");
    return { out: { y: { dtype: x.dtype, shape: [dim(at, 0), 1, dim(x, 2)] } }, saved: {} };
  },
  forward: (p, { in: { x, at } }) => ({
    out: { y: p.reshape(p.gather(p.rows(x), at), [dim(at, 0), 1, dim(x, 2)]) },
    saved: {},
  }),
});

/** The hidden state of each row's last token where rows are of different lengths; `at` counts through [batch·seq]. */
export function lastRows<D extends FloatDType>(
  x: Tensor<D, readonly ["batch", "seq", "hidden"]>,
  at: Tensor<"i32", readonly ["batch"]>,
): Tensor<D, readonly ["batch", "seq", "hidden"]> {
  return run(lastRowsOp, { in: { x, at }, attrs: {}, axes: { y: x.axes } }).y;
}
