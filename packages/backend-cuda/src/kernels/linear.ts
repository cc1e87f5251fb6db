import { defineKernel, dim, type Kernel, sizeOf } from "@ft/tensor";
import { type LinearShape, linearOp } from "@ft/tensor/ops";
import { at, type CudaContext, type CudaView } from "../context.ts";
import { floatCode, threeFloats } from "./alignment.ts";
import { fromDtype, inDtype } from "./convert.ts";
import { fewRows } from "./few-rows.ts";
import { forwardProduct, inputGradientProduct } from "./products.ts";

/**
 * y = x·Wᵀ + bias;  dX = g·W;  dW = gᵀ·x: one product each, the bias as the matrix it is added to. A weight stored in
 * another dtype than x is converted to x's first; its gradient is made in f32 or x's dtype and rounded once more at most.
 */
export const linearKernel: Kernel<LinearShape, CudaContext> = defineKernel(linearOp, {
  accepts: ({ in: specs }) => Object.values(specs).every(({ dtype }) => threeFloats.has(dtype)),
  forward(context, { in: { x, weight, bias }, out: { y } }) {
    const [n, k] = [dim(weight, 0), dim(weight, 1)];
    const m = sizeOf(x.shape.slice(0, -1));
    const { dtype } = x;
    if (bias) biasRows(context, bias, y, n);
    const beta = bias ? 1 : 0;
    inDtype(context, weight, dtype, (w) => {
      if (fewRows(context, { dtype, m, n, k, x: at(x), weight: w, y: at(y), beta })) return;
      forwardProduct(context, { m, n, k }, { x, weight: w, y, beta });
    });
  },
  vjp(context, { kept: { x, weight }, grad: { y: g }, wants, spec, onto, into }) {
    const [n, k] = [dim(spec.weight, 0), dim(spec.weight, 1)];
    const m = sizeOf(spec.x.shape.slice(0, -1));
    const { dtype } = g;
    const made: Partial<LinearShape["in"]> = {};
    if (weight) {
      const { to, beta } = onto("x");
      inDtype(context, weight, dtype, (w) => inputGradientProduct(context, { m, n, k }, { g, weight: w, to, beta }));
      made.x = to;
    }
    if (x) {
      const to = into("weight");
      const summedIn = to.dtype === dtype ? dtype : "f32";
      fromDtype(context, to, summedIn, (out) =>
        context.multiply({
          m: n,
          n: k,
          k: m,
          a: { at: at(g), dtype, ld: n, transposed: true },
          b: { at: at(x), dtype, ld: k },
          out: { at: out, dtype: summedIn, ld: k },
        }),
      );
      made.weight = to;
    }
    if (wants.bias) {
      made.bias = into("bias");
      columnSums(context, g, m, n, made.bias);
    }
    return made;
  },
});

/** The bias in every row of y, for a product to add to. */
export function biasRows(context: CudaContext, bias: CudaView, y: CudaView, n: number): void {
  const size = sizeOf(y.shape);
  const grid = Math.min(Math.ceil(size / 256), 16 * context.card.multiprocessors);
  context.launch(`bias_rows_${y.dtype}`, grid, 256, [bias, floatCode(bias), size, n, y]);
}

/** The gradient of a bias: sums over the rows of g [rows, n], in a fixed order. */
export function columnSums(context: CudaContext, g: CudaView, rows: number, n: number, to: CudaView): void {
  context.launch(`column_sums_${g.dtype}_${to.dtype}`, Math.ceil(n / 32), 1024, [g, rows, n, to]);
}
