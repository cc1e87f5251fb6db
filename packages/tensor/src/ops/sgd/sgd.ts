import type { View } from "../../backend.ts";
import { defineOp, type Op } from "../../op.ts";
import { checkStep } from "../adamw/check-step.ts";

/** Constants of sgd. */
export interface SgdAttrs {
  /** μ; 0 keeps no momentum slot */
  readonly momentum: number;
  readonly nesterov: boolean;
  /** λ, added to the gradient as L2 */
  readonly weightDecay: number;
}

/** Inputs, outputs and attributes of sgd, as kernels and references see them. */
export type SgdShape = {
  in: { param: View; grad: View; momentum?: View; lr: View };
  out: { param: View; momentum?: View };
  attrs: SgdAttrs;
  keeps: {};
  saved: {};
};

/**
 * One step of SGD in the order of torch.optim.SGD with dampening 0: g ← g + λp;  b ← μb + g;  p ← p − lr·b, or with
 * Nesterov p − lr·(g + μb). A momentum slot of zeros gives torch's first step, b = g. Consumes param and momentum when donated.
 */
export const sgdOp: Op<SgdShape> = defineOp<SgdShape>({
  name: "sgd",
  keeps: () => ({}),
  inPlace: { param: "param", momentum: "momentum" },
  infer({ in: { param, grad, momentum } }) {
    checkStep("sgd", { param, grad, ...(momentum && { momentum }) });
    return { out: { param, ...(momentum && { momentum }) }, saved: {} };
  },
  forward(p, { in: { param, grad, momentum, lr }, attrs }) {
    const wide = lr.dtype;
    const from = p.cast(param, wide);
    const g = attrs.weightDecay === 0 ? p.cast(grad, wide) : p.add(p.cast(grad, wide), p.mul(from, attrs.weightDecay));
    const next = momentum && p.add(p.mul(momentum, attrs.momentum), g);
    const direction = next === undefined ? g : attrs.nesterov ? p.add(g, p.mul(next, attrs.momentum)) : next;
    const out = p.cast(p.sub(from, p.mul(direction, lr)), param.dtype);
    return { out: { param: out, ...(next && { momentum: next }) }, saved: {} };
  },
});
