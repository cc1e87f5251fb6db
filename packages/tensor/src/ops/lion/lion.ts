import type { View } from "../../backend.ts";
import { defineOp, type Op } from "../../op.ts";
import { checkStep } from "../adamw/check-step.ts";

/** Constants of lion. */
export interface LionAttrs {
  /** share of the old momentum in the direction */
  readonly beta1: number;
  /** decay of the momentum that is kept */
  readonly beta2: number;
  /** λ, decoupled from the gradient */
  readonly weightDecay: number;
}

/** Inputs, outputs and attributes of lion, as kernels and references see them. */
export type LionShape = {
  in: { param: View; grad: View; m: View; lr: View };
  out: { param: View; m: View };
  attrs: LionAttrs;
  keeps: {};
  saved: {};
};

/**
 * One step of Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms"):
 * p ← p·(1 − lr·λ) − lr·sign(β₁m + (1−β₁)g);  m ← β₂m + (1−β₂)g,  the sign of 0 being 0 and that of NaN NaN.
 * The slot is f32 (f64 for f64). Consumes param and m when donated.
 */
export const lionOp: Op<LionShape> = defineOp<LionShape>({
  name: "lion",
  keeps: () => ({}),
  inPlace: { param: "param", m: "m" },
  infer({ in: { param, grad, m } }) {
    checkStep("lion", { param, grad, m });
    return { out: { param, m }, saved: {} };
  },
  forward(p, { in: { param, grad, m, lr }, attrs: { beta1, beta2, weightDecay } }) {
    const g = p.cast(grad, m.dtype);
    const from = p.cast(param, m.dtype);
    const mixed = p.add(p.mul(m, beta1), p.mul(g, 1 - beta1));
    const one = p.fill(mixed, 1);
    const sign = p.where(p.compare("lt", mixed, 0), p.neg(one), p.where(p.compare("lt", p.neg(mixed), 0), one, mixed));
    const decayed = p.sub(from, p.mul(from, p.mul(lr, weightDecay)));
    const next = p.sub(decayed, p.mul(sign, lr));
    const nextM = p.add(p.mul(m, beta2), p.mul(g, 1 - beta2));
    return { out: { param: p.cast(next, param.dtype), m: nextM }, saved: {} };
  },
});
