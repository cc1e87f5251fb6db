import { hasWindows, Replay, run, sizeOf, type Tensor, wideOf, windowElements, windowOf } from "@ft/tensor";
import { sumSquaresOp } from "@ft/tensor/ops";
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
export async function globalNorm(
  grads: ReadonlyMap<string, Tensor>,
  replay: Replay = new Replay("gradient norm"),
): Promise<GlobalNorm> {
  if (grads.size === 0) return { norm: 0, nonFinite: [] };
  const owners = [...grads].flatMap(([name, grad]) => windowStarts(grad).map(() => name));
  const { results } = replay.run([...grads.values()], () => {
    const sums = [...grads.values()].flatMap((grad) => windowStarts(grad).map((start) => sumOfSquares(grad, start)));
    return new Map([["squares", packed(sums)]]);
  });
  const [all] = results.values();
  const squares = all ? Array.from(await all.read(), Number) : [];
  all?.dispose();
  const nonFinite = new Set(owners.filter((_, i) => !Number.isFinite(squares[i])));
  return { norm: Math.sqrt(squares.reduce((sum, square) => sum + square, 0)), nonFinite: [...nonFinite] };
}

/** Where sums begin: a tensor in 16 bits is summed in windows, since it may be widened for its sum and may be large. */
function windowStarts(x: Tensor): readonly (number | undefined)[] {
  const size = sizeOf(x.shape);
  if (wideOf(x.dtype) === x.dtype || size <= windowElements || !hasWindows(x.backend)) return [undefined];
  return Array.from({ length: Math.ceil(size / windowElements) }, (_, i) => i * windowElements);
}

function sumOfSquares(x: Tensor, start: number | undefined): Tensor {
  const count = start === undefined ? 0 : Math.min(windowElements, sizeOf(x.shape) - start);
  const part = start === undefined ? x : (windowOf(x, start, count) ?? x);
  return run(sumSquaresOp, { in: { x: part }, attrs: {}, axes: { y: [] } }).y;
}
