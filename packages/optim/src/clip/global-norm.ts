import { hasWindows, Replay, run, sizeOf, type Tensor, wideOf, windowElements, windowOf } from "@ft/tensor";
import { sumSquaresEach, sumSquaresEachOp, sumSquaresOp } from "@ft/tensor/ops";
import { packed } from "../scalars.ts";

/** The norm of all gradients together, and which of them are not finite. */
export interface GlobalNorm {
  /** √Σ g² over every element of every gradient; NaN or infinite when one of them is */
  readonly norm: number;
  /** names of gradients with a NaN, an infinity, or squares beyond the range of f32 */
  readonly nonFinite: readonly string[];
}

/**
 * The global norm of gradients by name. Squares are summed per tensor by the backend and across tensors in f64; one host
 * read. A `replay` that is passed again and again lets the backend record the sums.
 */
export async function globalNorm(grads: ReadonlyMap<string, Tensor>, replay?: Replay): Promise<GlobalNorm> {
  if (grads.size === 0) return { norm: 0, nonFinite: [] };
  using once = new Replay("gradient norm");
  const { results } = (replay ?? once).run([...grads.values()], () => {
    const parts = [...grads.values()].flatMap((grad) => windowStarts(grad).map((start) => partOf(grad, start)));
    return new Map([["squares", sumsOfSquares(parts)]]);
  });
  const [all] = results.values();
  const squares = all ? Array.from(await all.read(), Number) : [];
  all?.dispose();
  let sum = 0;
  for (const square of squares) sum += square;
  return { norm: Math.sqrt(sum), nonFinite: Number.isFinite(sum) ? [] : nonFiniteOf(grads, squares) };
}

/** The gradients of whose sums one is not finite. */
function nonFiniteOf(grads: ReadonlyMap<string, Tensor>, squares: readonly number[]): string[] {
  const owners = [...grads].flatMap(([name, grad]) => windowStarts(grad).map(() => name));
  return [...new Set(owners.filter((_, i) => !Number.isFinite(squares[i])))];
}

/** Where sums begin: a tensor in 16 bits is summed in windows, since it may be widened for its sum and may be large. */
function windowStarts(x: Tensor): readonly (number | undefined)[] {
  const size = sizeOf(x.shape);
  if (wideOf(x.dtype) === x.dtype || size <= windowElements || !hasWindows(x.backend)) return [undefined];
  return Array.from({ length: Math.ceil(size / windowElements) }, (_, i) => i * windowElements);
}

function partOf(x: Tensor, start: number | undefined): Tensor {
  if (start === undefined) return x;
  return windowOf(x, start, Math.min(windowElements, sizeOf(x.shape) - start)) ?? x;
}

/** In one go where the backend has a kernel for that: the reference would hold every tensor widened at a time. */
function sumsOfSquares(parts: readonly Tensor[]): Tensor {
  if (parts[0]?.backend.kernels.has(sumSquaresEachOp.id)) return sumSquaresEach(parts);
  return packed(parts.map((x) => run(sumSquaresOp, { in: { x }, attrs: {}, axes: { y: [] } }).y));
}
