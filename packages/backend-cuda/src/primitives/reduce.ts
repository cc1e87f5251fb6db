import { dim, type PrimitiveKernels, sizeOf } from "@ft/tensor";
import { at, type CudaBuffer, type CudaContext } from "../context.ts";
import { block, blocksOf, computedIn, dtypeCode } from "./elementwise.ts";
import { denseStrides, walk } from "./strides.ts";

type Reductions = Pick<PrimitiveKernels<CudaBuffer>, "reduce" | "argmax" | "scatterAdd">;

/** From so many values on a block makes one result, if they lie side by side or results are few. */
const worthABlock = 64;

/** Kernels that combine many values into one, in a fixed order. */
export function reductions(context: CudaContext): Reductions {
  return {
    reduce({ x }, { kind, axes }, out) {
      const dense = denseStrides(x.shape);
      const of = (reduced: boolean) => {
        const chosen = x.shape.map((_, axis) => axis).filter((axis) => axes.includes(axis) === reduced);
        const shape = chosen.map((axis) => x.shape[axis]!);
        const { sizes, strides } = walk(shape, [chosen.map((axis) => dense[axis]!)]);
        return { count: sizeOf(shape), walked: [...sizes, ...strides.flat()], step: strides[0]!.at(-1) ?? 0 };
      };
      const [kept, gone] = [of(false), of(true)];
      const code = kind === "sum" ? 0 : 1;
      const walked = [...kept.walked, ...gone.walked, out];
      const width = computedIn(x.dtype);
      const byBlocks = gone.count >= worthABlock && (gone.step <= 1 || kept.count < 32 * context.card.multiprocessors);
      if (byBlocks)
        context.launch(`reduce_${width}`, kept.count, block, [code, x, dtypeCode[x.dtype], gone.count, ...walked]);
      else
        context.launch(`reduce_each_${width}`, blocksOf(context, kept.count), block, [
          code,
          x,
          dtypeCode[x.dtype],
          kept.count,
          gone.count,
          ...walked,
        ]);
    },
    argmax({ x }, _attrs, out) {
      const args = [x, dtypeCode[x.dtype], dim(x, -1), out];
      context.launch(`argmax_${computedIn(x.dtype)}`, sizeOf(out.shape), block, args);
    },
    scatterAdd({ rows, index }, _attrs, out) {
      const count = sizeOf(index.shape);
      const size = dim(out, 0);
      const width = sizeOf(out.shape) / Math.max(size, 1);
      const grid = [Math.ceil(width / block), Math.min(size, 65535)] as const;
      const args = [rows, index, count, width, size, dtypeCode[rows.dtype], out];
      context.launch(`scatter_add_${computedIn(rows.dtype)}`, grid, block, args);
    },
  };
}

/** Products of matrices, by cuBLASLt. */
export function matmul(context: CudaContext): PrimitiveKernels<CudaBuffer>["matmul"] {
  return ({ a, b }, { ta, tb }, out) => {
    const [m, n] = [dim(out, -2), dim(out, -1)];
    const k = dim(a, ta ? -2 : -1);
    const batch = sizeOf(out.shape.slice(0, -2));
    const shared = b.shape.length === 2;
    // one matrix meets all of a batch: rows of one large product, where they lie one after the other
    const joined = shared && !ta;
    context.multiply({
      m: joined ? batch * m : m,
      n,
      k,
      a: { at: at(a), dtype: a.dtype, ld: ta ? m : k, transposed: ta, stride: m * k },
      b: { at: at(b), dtype: b.dtype, ld: tb ? k : n, transposed: tb, stride: shared ? 0 : k * n },
      out: { at: at(out), dtype: out.dtype, ld: n, stride: m * n },
      batch: joined ? 1 : batch,
    });
  };
}
