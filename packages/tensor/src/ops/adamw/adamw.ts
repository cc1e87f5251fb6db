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
  /**
   * As bitsandbytes' 8-bit kernel has it: the decay after the step, p ← (p − lr/c₁ · m / (√v/√c₂ + ε))·(1 − lr·λ), and an
   * element whose gradient is not finite keeps its parameter while its m and v become 0. Absent: false.
   */
  readonly bitsandbytesOrder?: boolean;
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
  forward(p, { in: { param, grad, m, v, lr, correction1, correction2 }, attrs }) {
    const { beta1, beta2, eps, weightDecay, bitsandbytesOrder = false } = attrs;
    const g = p.cast(grad, m.dtype);
    const from = p.cast(param, m.dtype);
    const decayed = (x: View): View => p.sub(x, p.mul(x, p.mul(lr, weightDecay)));
    const nextM = p.add(p.mul(m, beta1), p.mul(g, 1 - beta1));
    const nextV = p.add(p.mul(v, beta2), p.mul(p.mul(g, g), 1 - beta2));
    const direction = p.div(nextM, p.add(p.div(p.sqrt(nextV), p.sqrt(correction2)), eps));
    const update = p.mul(direction, p.div(lr, correction1));
    if (!bitsandbytesOrder)
      return { out: { param: p.cast(p.sub(decayed(from), update), param.dtype), m: nextM, v: nextV }, saved: {} };

    // g − g is 0 for finite numbers and NaN for the others
    const finite = p.compare("eq", p.sub(g, g), 0);
    const next = p.where(finite, decayed(p.sub(from, update)), from);
    const out = { param: p.cast(next, param.dtype), m: p.where(finite, nextM, 0), v: p.where(finite, nextV, 0) };
    return { out, saved: {} };
  },
});
