import { defineOp, type Op, run, type Tensor, type View, type WideDType, wideOf } from "@ft/tensor";
import type { Scalar } from "../optimizer.ts";
import { wideScalar } from "../scalars.ts";
import { checkRange } from "../settings.ts";
import { type GlobalNorm, globalNorm } from "./global-norm.ts";

type Rescale = { in: { x: View; by: View }; out: { y: View }; attrs: {}; keeps: {}; saved: {} };

/** x · by, with `by` in the wide dtype so that half-precision gradients are rounded once; in place when donated. */
const rescaleOp: Op<Rescale> = defineOp<Rescale>({
  name: "optim/rescale",
  keeps: () => ({}),
  inPlace: { y: "x" },
  infer: ({ in: { x } }) => ({ out: { y: x }, saved: {} }),
  forward: (p, { in: { x, by } }) => ({ out: { y: p.cast(p.mul(p.cast(x, by.dtype), by), x.dtype) }, saved: {} }),
});

/**
 * The factor that brings gradients of this global norm down to `maxNorm`, as torch.nn.utils.clip_grad_norm_ has it:
 * maxNorm / (norm + 1e-6). Undefined when there is nothing to scale, or the norm is not finite.
 */
export function clipFactor(norm: number, maxNorm: number): number | undefined {
  checkRange("maxNorm", maxNorm);
  const factor = maxNorm / (norm + 1e-6);
  return Number.isFinite(norm) && factor < 1 ? factor : undefined;
}

/**
 * Scales gradients so that their global norm is at most `maxNorm`, by `clipFactor`. Consumes what it is given; the
 * gradients come back untouched when nothing is to be scaled or the norm is not finite. One host read; the norm is that
 * before clipping. `OptimizerState.step` takes the factor instead, which saves a pass and, in 16 bits, a rounding.
 */
export async function clipByGlobalNorm(
  grads: ReadonlyMap<string, Tensor>,
  maxNorm: number,
): Promise<GlobalNorm & { readonly grads: ReadonlyMap<string, Tensor> }> {
  checkRange("maxNorm", maxNorm);
  const measured = await globalNorm(grads);
  const coefficient = clipFactor(measured.norm, maxNorm);
  if (coefficient === undefined) return { ...measured, grads };
  const by = new Map<WideDType, Scalar>();
  const clipped = new Map<string, Tensor>();
  for (const [name, grad] of grads) {
    const wide = wideOf(grad.dtype);
    const factor = by.get(wide) ?? wideScalar(grad.backend, wide, coefficient);
    by.set(wide, factor);
    const y = run(rescaleOp, { in: { x: grad, by: factor }, attrs: {}, axes: { y: grad.axes }, donate: true }).y;
    grad.dispose();
    clipped.set(name, y);
  }
  for (const factor of by.values()) factor.dispose();
  return { ...measured, grads: clipped };
}
