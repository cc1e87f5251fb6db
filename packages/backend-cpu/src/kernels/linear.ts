import { defineKernel, dim, type Kernel, sizeOf, type View } from "@ft/tensor";
import { type LinearShape, linearOp } from "@ft/tensor/ops";
import { allF32, type CpuContext, f32, isStored, roundInto, stored } from "../context.ts";

/**
 * y = x·Wᵀ + bias;  dX = g·W;  dW = gᵀ·x: one product each, the bias as the matrix it is added to. W may be bf16 or f16, and
 * so is its gradient then, rounded once.
 */
export const linearKernel: Kernel<LinearShape, CpuContext> = defineKernel(linearOp, {
  accepts: ({ in: { weight, ...others } }) => allF32(others) && isStored(weight),
  forward({ native, products }, { in: { x, weight, bias }, out: { y } }) {
    const [n, k] = [dim(weight, 0), dim(weight, 1)];
    const m = sizeOf(x.shape) / k;
    const c = f32(y);
    if (bias) fillRows(c, f32(bias), m);
    native.gemm(m, n, k, f32(x), k, 0, ...stored(weight), null, 0, k, 1, c, n, 1, bias ? 1 : 0, products);
  },
  vjp(context, { kept: { x, weight }, grad: { y }, wants, spec, into, onto }) {
    const [n, k] = [dim(spec.weight, 0), dim(spec.weight, 1)];
    const m = sizeOf(spec.x.shape) / k;
    const { native, products } = context;
    const g = f32(y);
    const made: Partial<LinearShape["in"]> = {};
    if (weight) {
      const { to, beta } = onto("x");
      native.gemm(m, k, n, g, n, 0, ...stored(weight), null, 0, k, 0, f32(to), k, 1, beta, products);
      made.x = to;
    }
    if (x) {
      made.weight = into("weight");
      weightGradient(context, g, x, made.weight, m);
    }
    if (wants.bias) {
      made.bias = into("bias");
      columnSums(g, m, n, f32(made.bias));
    }
    return made;
  },
});

/** elements of a gradient in 16 bits that are made in f32 at a time */
const strip = 4 << 20;

/** dW = gᵀ·x, by groups of rows where it must be rounded. */
function weightGradient(context: CpuContext, g: Float32Array, x: View, to: View, m: number): void {
  const { native, products } = context;
  const [n, k] = [dim(to, 0), dim(to, 1)];
  const [target, storage] = stored(to);
  const product = (from: number, rows: number, out: Float32Array): void => {
    native.gemm(rows, k, m, g.subarray(from), n, 1, ...stored(x), null, 0, k, 0, out, k, 1, 0, products);
  };
  if (target instanceof Float32Array) {
    product(0, n, target);
    return;
  }
  const most = Math.min(n, Math.max(1, Math.floor(strip / k)));
  context.scratch(most * k, (work) => {
    for (let from = 0; from < n; from += most) {
      const rows = Math.min(most, n - from);
      const part = work.subarray(0, rows * k);
      product(from, rows, part);
      roundInto(context, part, [target.subarray(from * k, (from + rows) * k), storage]);
    }
  });
}

/** The bias in every row, for a product to add to. */
export function fillRows(c: Float32Array, bias: Float32Array, rows: number): void {
  for (let row = 0; row < rows; row++) c.set(bias, row * bias.length);
}

/** The gradient of a bias: sums over the rows of g [rows, n], in f64. */
export function columnSums(g: Float32Array, m: number, n: number, out: Float32Array): void {
  const sums = new Float64Array(n);
  for (let row = 0; row < m; row++) for (let j = 0; j < n; j++) sums[j]! += g[row * n + j]!;
  out.set(sums);
}
