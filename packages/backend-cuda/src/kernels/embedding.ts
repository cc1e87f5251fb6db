import { bytesOf, defineKernel, dim, type Kernel, sizeOf } from "@ft/tensor";
import { type Embedding, embeddingOp } from "@ft/tensor/ops";
import { at, type CudaContext, type CudaView } from "../context.ts";
import { aligned, chunkOf, threeFloats } from "./alignment.ts";

/** Elements that move at once, where rows of h of them begin right; else 1. */
function widthFor(h: number, a: CudaView, b: CudaView): number {
  const width = chunkOf(a.dtype, b.dtype);
  return h % width === 0 && aligned(a, b) ? width : 1;
}

/** Threads for a row of so many chunks. */
const threadsFor = (chunks: number): number => Math.max(32, Math.min(256, 32 * Math.ceil(chunks / 32)));

/**
 * An id outside the vocabulary cannot be reported without waiting for the card: its row is NaN, and so is the loss. The
 * backward sorts the places by id and sums each id's gradients in order; rows of absent ids are not touched.
 */
export const embeddingKernel: Kernel<Embedding, CudaContext> = defineKernel(embeddingOp, {
  accepts: ({ in: { table }, attrs }) => threeFloats.has(table.dtype) && threeFloats.has(attrs.dtype),

  forward(context, { in: { table, ids }, out: { y } }) {
    const [vocab, h] = [dim(table, 0), dim(table, 1)];
    const width = widthFor(h, table, y);
    const args = [table, ids, vocab, h, width === 1 ? 0 : 1, y];
    context.launch(`embedding_${table.dtype}_${y.dtype}`, sizeOf(ids.shape), threadsFor(h / width), args);
  },

  vjp(context, { kept: { ids }, grad: { y: g }, spec, onto }) {
    const { to, beta } = onto("table");
    const [vocab, h, n] = [dim(spec.table, 0), dim(spec.table, 1), sizeOf(ids.shape)];
    if (beta === 0) context.fill(at(to), 0, bytesOf(to));
    if (n * h === 0) return { table: to };
    const width = widthFor(h, to, g);
    const threads = Math.min(64, threadsFor(h / width));
    context.scratch(n * 8, (sorted) => {
      context.launch("embedding_sort", Math.ceil(n / 32), 256, [ids, n, sorted]);
      const args = [sorted, g, n, vocab, h, beta, to];
      context.launch(
        `embedding_sum${width === 1 ? "_single" : ""}_${to.dtype}_${g.dtype}`,
        [n, Math.ceil(h / width / threads)],
        threads,
        args,
      );
    });
    return { table: to };
  },
});
