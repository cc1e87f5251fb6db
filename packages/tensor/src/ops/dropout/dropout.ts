import type { View } from "../../backend.ts";
import type { FloatDType } from "../../dtype.ts";
import { defineOp, type Op } from "../../op.ts";
import type { P } from "../../prims.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Rate and key are fixed for a layer; the step arrives as a tensor, so that a replayed step draws anew. */
export interface DropoutAttrs {
  /** probability of dropping an element, in [0, 1) */
  readonly rate: number;
  readonly seed: number;
  /** tells the layers apart under one seed */
  readonly stream: number;
}

/** Inputs, outputs and attributes of dropout, as kernels and references see them. */
export type Dropout = {
  in: { x: View; step: View };
  out: { y: View };
  attrs: DropoutAttrs;
  keeps: { step: View };
  saved: {};
};

/** x / (1 − rate) where the element's uniform number is at least `rate`, else 0. Drawn by index, so nothing is saved. */
export function drop(p: P, x: View, step: View, { rate, seed, stream }: DropoutAttrs): View {
  if (rate === 0) return x;
  const dropped = p.compare("lt", p.random(x.shape, step, { seed, stream }), rate);
  return p.where(dropped, p.fill({ dtype: x.dtype, shape: [] }, 0), p.mul(x, 1 / (1 - rate)));
}

/** The op behind dropout(): its shapes, its reference and its gradient. */
export const dropoutOp: Op<Dropout> = defineOp<Dropout>({
  name: "dropout",
  keeps: () => ({ step: true }),
  infer: ({ in: { x } }) => ({ out: { y: x }, saved: {} }),
  forward: (p, { in: { x, step }, attrs }) => ({ out: { y: drop(p, x, step, attrs) }, saved: {} }),
  vjp: (p, { kept: { step }, grad: { y }, attrs }) => ({ x: drop(p, y, step, attrs) }),
});

/** Inverted dropout from counter-based random numbers: the same mask on every backend, after a resume, and in the backward. */
export function dropout<D extends FloatDType, A extends Axes>(
  x: Tensor<D, A>,
  step: Tensor<"i32", readonly []>,
  attrs: DropoutAttrs,
): Tensor<D, A> {
  return run(dropoutOp, { in: { x, step }, attrs, axes: { y: x.axes } }).y;
}
