import type { View } from "../../backend.ts";
import { dim, type FloatDType, showShape } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of embedding, as kernels and references see them. */
export type Embedding = {
  in: { table: View; ids: View };
  out: { y: View };
  attrs: { dtype: FloatDType };
  keeps: { ids: View };
  saved: {};
};

/** The op behind embedding(): its shapes, its reference and its gradient. */
export const embeddingOp: Op<Embedding> = defineOp<Embedding>({
  name: "embedding",
  keeps: () => ({ ids: true }),
  infer({ in: { table, ids }, attrs: { dtype } }) {
    if (table.shape.length !== 2)
      throw new FtError("shape", `[embedding] table ${showShape(table.shape)}`, "the table is [vocab, hidden]");
    return { out: { y: { dtype, shape: [...ids.shape, dim(table, 1)] } }, saved: {} };
  },
  forward: (p, { in: { table, ids }, attrs: { dtype } }) => ({
    out: { y: p.cast(p.gather(table, ids), dtype) },
    saved: {},
  }),
  vjp: (p, { kept: { ids }, grad: { y }, spec }) => ({
    table: p.cast(p.scatterAdd(y, ids, dim(spec.table, 0)), spec.table.dtype),
  }),
});

/** Rows of `table` by id, as `dtype` (the table's own by default). Ids must lie in [0, vocab): the data loader checks them. */
export function embedding<
  W extends FloatDType,
  A extends Axes,
  V extends string,
  H extends string,
  D extends FloatDType = W,
>(table: Tensor<W, readonly [V, H]>, ids: Tensor<"i32", A>, dtype?: D): Tensor<D, readonly [...A, H]> {
  const axes = { y: [...ids.axes, ...table.axes.slice(1)] };
  return run(embeddingOp, { in: { table, ids }, attrs: { dtype: dtype ?? table.dtype }, axes }).y;
}
