import type { View } from "../../backend.ts";
import { defineOp, type Op } from "../../op.ts";
import { checkStep } from "./check-step.ts";

/** Constants of adamw. */
export interface AdamWAttrs {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** λ, decoupled from the gradient */
  readonly weightDecay: number;
}

/** Inputs, outputs and attributes of adamw, as kernels and references see them. */
export type AdamWShape = {
  in: { param: View; grad: View; m: View; v: View; lr: View; correction1: View; correction2: View };
  out: { param: View; m: View; v: View };
  attrs: AdamWAttrs;
  keeps: {};
  saved: {};
};

/**
 * One step of AdamW (Loshchilov and Hutter 2019) in the order of torch.optim.AdamW:
 * m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  p ← p·(1 − lr·λ) − lr/c₁ · m / (√v/√c₂ + ε),  cᵢ = 1 − βᵢᵗ.
 * Slots are f32 (f64 for f64). Consumes param, m and v when donated.
 */
export const adamwOp: Op<AdamWShape> = defineOp<AdamWShape>({
  name: "adamw",
  keeps: () => ({}),
  inPlace: { param: "param", m: "m", v: "v" },
  infer({ in: { param, grad, m, v } }) {
    checkStep("adamw", { param, grad, m, v });
    return { out: { param, m, v }, saved: {} };
  },
  forward(p, { in: { param, grad, m, v, lr, correction1, correction2 }, attrs: { beta1, beta2, eps, weightDecay } }) {
    const wide = m.dtype;
    const g = p.cast(grad, wide);
    const nextM = p.add(p.mul(m, beta1), p.mul(g, 1 - beta1));
    const nextV = p.add(p.mul(v, beta2), p.mul(p.mul(g, g), 1 - beta2));
    const from = p.cast(param, wide);
    const decayed = p.sub(from, p.mul(from, p.mul(lr, weightDecay)));
    const direction = p.div(nextM, p.add(p.div(p.sqrt(nextV), p.sqrt(correction2)), eps));
    const next = p.sub(decayed, p.mul(direction, p.div(lr, correction1)));
    return { out: { param: p.cast(next, param.dtype), m: nextM, v: nextV }, saved: {} };
  },
});
