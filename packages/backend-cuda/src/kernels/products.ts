import { type Address, at, type CudaContext, type CudaView } from "../context.ts";

/** Rows of x, and the weight's [n, k]. */
export interface Sizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** Queues y = x·Wᵀ (+ y) over a dense weight [n, k] in the dtype of x. */
export function forwardProduct(
  context: CudaContext,
  { m, n, k }: Sizes,
  {
    x,
    weight,
    y,
    beta,
  }: { readonly x: CudaView; readonly weight: Address; readonly y: CudaView; readonly beta: 0 | 1 },
): void {
  context.multiply({
    m,
    n,
    k,
    a: { at: at(x), dtype: x.dtype, ld: k },
    b: { at: weight, dtype: x.dtype, ld: k, transposed: true },
    out: { at: at(y), dtype: y.dtype, ld: n },
    beta,
  });
}

/** Queues dX = g·W (+ dX) over a dense weight [n, k] in the dtype of g. */
export function inputGradientProduct(
  context: CudaContext,
  { m, n, k }: Sizes,
  {
    g,
    weight,
    to,
    beta,
  }: { readonly g: CudaView; readonly weight: Address; readonly to: CudaView; readonly beta: 0 | 1 },
): void {
  context.multiply({
    m,
    n: k,
    k: n,
    a: { at: at(g), dtype: g.dtype, ld: n },
    b: { at: weight, dtype: g.dtype, ld: k },
    out: { at: at(to), dtype: to.dtype, ld: k },
    beta,
  });
}
