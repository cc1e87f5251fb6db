import { run, type Tensor } from "@ft/tensor";
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
  const parts = [...grads.values()].map((grad) => run(sumSquaresOp, { in: { x: grad }, attrs: {}, axes: { y: [] } }).y);
  try {
    const squares = await readScalars(parts);
    const nonFinite = [...grads.keys()].filter((_, i) => !Number.isFinite(squares[i]));
    return { norm: Math.sqrt(squares.reduce((sum, square) => sum + square, 0)), nonFinite };
  } finally {
    for (const part of parts) part.dispose();
  }
}
