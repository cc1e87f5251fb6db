import type { View } from "../../backend.ts";
import { defineOp, type Op } from "../../op.ts";
import { checkStep } from "../adamw/check-step.ts";

/** Constants of adam. */
export interface AdamAttrs {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** λ, added to the gradient as L2 */
  readonly weightDecay: number;
}

/** Inputs, outputs and attributes of adam, as kernels and references see them. */
export type AdamShape = {
  in: { param: View; grad: View; m: View; v: View; lr: View; correction1: View; correction2: View };
  out: { param: View; m: View; v: View };
  attrs: AdamAttrs;
  keeps: {};
  saved: {};
};

/**
 * One step of Adam (Kingma and Ba 2015) in the order of torch.optim.Adam: g ← g + λp;
 * m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  p ← p − lr/c₁ · m / (√v/√c₂ + ε),  cᵢ = 1 − βᵢᵗ.
 * Slots are f32 (f64 for f64). Consumes param, m and v when donated. With a decay that leaves the gradient alone it is adamw.
 */
export const adamOp: Op<AdamShape> = defineOp<AdamShape>({
  name: "adam",
  keeps: () => ({}),
  inPlace: { param: "param", m: "m", v: "v" },
  infer({ in: { param, grad, m, v } }) {
    checkStep("adam", { param, grad, m, v });
    return { out: { param, m, v }, saved: {} };
  },
  forward(p, { in: { param, grad, m, v, lr, correction1, correction2 }, attrs: { beta1, beta2, eps, weightDecay } }) {
    const from = p.cast(param, m.dtype);
    const plain = p.cast(grad, m.dtype);
    const g = weightDecay === 0 ? plain : p.add(plain, p.mul(from, weightDecay));
    const nextM = p.add(p.mul(m, beta1), p.mul(g, 1 - beta1));
    const nextV = p.add(p.mul(v, beta2), p.mul(p.mul(g, g), 1 - beta2));
    const direction = p.div(nextM, p.add(p.div(p.sqrt(nextV), p.sqrt(correction2)), eps));
    const next = p.sub(from, p.mul(direction, p.div(lr, correction1)));
    return { out: { param: p.cast(next, param.dtype), m: nextM, v: nextV }, saved: {} };
  },
});
