import { hasWindows, run, scope, sizeOf, type Tensor, wideOf, windowElements, windowOf } from "@ft/tensor";
import { sumSquaresOp } from "@ft/tensor/ops";
import { readScalars } from "../scalars.ts";

/** The norm of all gradients together, and which of them are not finite. */
export interface GlobalNorm {
  /** √Σ g² over every element of every gradient; NaN or infinite when one of them is */
  readonly norm: number;
  /** names of gradients with a NaN, an infinity, or squares beyond the range of f32 */
  readonly nonFinite: readonly string[];
}

/** The global norm of gradients by name. Squares are summed per tensor by the backend and across tensors in f64; one host read. */
export async function globalNorm(grads: ReadonlyMap<string, Tensor>): Promise<GlobalNorm> {
  const owners: string[] = [];
  const parts: Tensor[] = [];
  try {
    for (const [name, grad] of grads)
      for (const part of partsOf(grad)) {
        parts.push(part);
        owners.push(name);
      }
    const squares = await readScalars(parts);
    const nonFinite = new Set(owners.filter((_, i) => !Number.isFinite(squares[i])));
    return { norm: Math.sqrt(squares.reduce((sum, square) => sum + square, 0)), nonFinite: [...nonFinite] };
  } finally {
    for (const part of parts) part.dispose();
  }
}

/** Σ x² of a tensor; of one in 16 bits in windows, since it is widened for its sum and may be large. */
function* partsOf(x: Tensor): Generator<Tensor> {
  const size = sizeOf(x.shape);
  if (wideOf(x.dtype) === x.dtype || size <= windowElements || !hasWindows(x.backend)) {
    yield sumOfSquares(x);
    return;
  }
  for (let start = 0; start < size; start += windowElements)
    yield scope(() => sumOfSquares(windowOf(x, start, Math.min(windowElements, size - start)) ?? x));
}

function sumOfSquares(x: Tensor): Tensor {
  return run(sumSquaresOp, { in: { x }, attrs: {}, axes: { y: [] } }).y;
}
