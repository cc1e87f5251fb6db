import { bytesPerElement, defineKernel, dim, type Kernel, sizeOf } from "@ft/tensor";
import { type LinearCrossEntropy, linearCrossEntropyOp } from "@ft/tensor/ops";
import { type Address, at, type CudaContext, type CudaView } from "../context.ts";
import { aligned, flatBlock, flatGrid, padded, threeFloats } from "./alignment.ts";
import { inDtype } from "./convert.ts";

/** bytes of scores in f32 that exist at a time; rows enough that the products stay large */
const scoresBytes = 256 << 20;
const leastRows = 256;
/** rows with a target are rounded up to this part of all rows, so that few recorded graphs serve all batches */
const parts = 8;

/**
 * Rows with a target are gathered on the card where the host knows that they are few enough; scores exist for a chunk of
 * rows. Gradients are made in the forward, the backward scales them.
 */
export const linearCrossEntropyKernel: Kernel<LinearCrossEntropy, CudaContext> = defineKernel(linearCrossEntropyOp, {
  accepts: ({ in: { x, weight } }) => threeFloats.has(x.dtype) && threeFloats.has(weight.dtype),
  forward(context, { in: { x, weight, targets }, out: { loss, count }, saved: { dx, dWeight } }) {
    const { dtype } = x;
    const h = dim(weight, 1);
    const rows = sizeOf(targets.shape);
    if (dWeight && rows === 0) context.fill(at(dWeight), 0, dWeight.storage.buffer.bytes);
    inDtype(context, weight, dtype, (w) => {
      const used = rowsWithTarget(context, targets, rows);
      if (used === rows) {
        const all = { x: at(x), targets: at(targets), rows, dx: dx && at(dx) };
        chunks(context, { ...all, dtype, weight: w, vocab: dim(weight, 0), h, dWeight, loss, count });
        return;
      }
      const bytes = used * h * bytesPerElement[dtype];
      const ids = padded(used * 4);
      context.scratch(2 * ids, (index) =>
        context.scratch(Math.max(bytes, 1), (gathered) => {
          const theirs = index + BigInt(ids);
          context.launch("loss_rows", 1, 1024, [targets, rows, used, index, theirs]);
          context.launch(`loss_take_${dtype}`, used, 256, [x, index, h, gathered]);
          // the gradient of a row takes its place when the row is no longer needed
          const few = { x: gathered, targets: theirs, rows: used, dx: dx && gathered };
          chunks(context, { ...few, dtype, weight: w, vocab: dim(weight, 0), h, dWeight, loss, count });
          if (dx === undefined) return;
          context.fill(at(dx), 0, sizeOf(dx.shape) * bytesPerElement[dtype]);
          context.launch(`loss_put_${dtype}`, used, 256, [gathered, index, h, dx]);
        }),
      );
    });
  },
  vjp(context, { saved: { dx, dWeight }, grad: { loss }, into }) {
    const made: Partial<LinearCrossEntropy["in"]> = {};
    const scaled = (from: CudaView, to: CudaView): void => {
      const n = sizeOf(from.shape);
      const args = [from, loss, n, aligned(from, to), to];
      context.launch(`loss_scale_${from.dtype}_${to.dtype}`, flatGrid(n, from.dtype, to.dtype), flatBlock, args);
    };
    if (dx) {
      made.x = into("x", dx);
      scaled(dx, made.x);
    }
    if (dWeight) {
      made.weight = into("weight", dWeight);
      scaled(dWeight, made.weight);
    }
    return made;
  },
});

/** How many rows are worked on: all of them, or fewer where the host wrote the targets and knows. */
function rowsWithTarget(context: CudaContext, targets: CudaView, rows: number): number {
  const { buffer } = targets.storage;
  const step = Math.ceil(rows / parts);
  const some = (ids: Int32Array): number => {
    let n = 0;
    for (const id of ids) if (id >= 0) n++;
    return Math.min(rows, Math.max(1, Math.ceil(n / step)) * step);
  };
  if (buffer.host?.length !== rows || rows === 0) return rows;
  context.guard(buffer, (ids) => `${some(ids)} rows`);
  return some(buffer.host);
}

interface Chunks {
  readonly dtype: CudaView["dtype"];
  /** [rows, h], and where its gradient goes, which may be the same place */
  readonly x: Address;
  readonly dx: Address | undefined;
  readonly targets: Address;
  readonly rows: number;
  /** [vocab, h] */
  readonly weight: Address;
  readonly vocab: number;
  readonly h: number;
  readonly dWeight: CudaView | undefined;
  readonly loss: CudaView;
  readonly count: CudaView;
}

function chunks(context: CudaContext, of: Chunks): void {
  const { dtype, rows, vocab, h, x, dx, targets, weight, dWeight, loss, count } = of;
  const size = bytesPerElement[dtype];
  const most = Math.min(rows, Math.max(leastRows, Math.floor(scoresBytes / (4 * vocab))));
  const graded = dx !== undefined || dWeight !== undefined;
  // a gradient in f32 takes the place of the scores
  const apart = graded && dtype !== "f32" ? most * vocab * size : 0;
  context.scratch(Math.max(rows * 4, 1), (losses) =>
    context.scratch(Math.max(most * vocab * 4, 1), (scores) =>
      context.scratch(Math.max(apart, 1), (elsewhere) => {
        const slopes = apart > 0 ? elsewhere : scores;
        for (let from = 0; from < rows; from += most) {
          const m = Math.min(most, rows - from);
          const place = (base: Address, bytes: number): Address => base + BigInt(from * bytes);
          const rowsOf = { at: place(x, h * size), dtype, ld: h };
          context.multiply({
            m,
            n: vocab,
            k: h,
            a: rowsOf,
            b: { at: weight, dtype, ld: h, transposed: true },
            out: { at: scores, dtype: "f32", ld: vocab },
          });
          context.launch(`cross_entropy_${dtype}`, m, 1024, [
            scores,
            place(targets, 4),
            vocab,
            vocab % 4 === 0 ? 1 : 0,
            place(losses, 4),
            graded ? slopes : undefined,
          ]);
          if (dWeight)
            context.multiply({
              m: vocab,
              n: h,
              k: m,
              a: { at: slopes, dtype, ld: vocab, transposed: true },
              b: rowsOf,
              out: { at: at(dWeight), dtype: "f32", ld: h },
              beta: from === 0 ? 0 : 1,
            });
          if (dx !== undefined)
            context.multiply({
              m,
              n: h,
              k: vocab,
              a: { at: slopes, dtype, ld: vocab },
              b: { at: weight, dtype, ld: h },
              out: { at: place(dx, h * size), dtype, ld: h },
            });
        }
        context.launch("loss_sum", 1, 1024, [losses, targets, rows, loss, count]);
      }),
    ),
  );
}
