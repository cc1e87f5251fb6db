import type { View } from "../../backend.ts";
import { defineOp, type Op } from "../../op.ts";
import { checkStep } from "../adamw/check-step.ts";

/** Constants of rmsprop. */
export interface RmspropAttrs {
  /** α, decay of the means */
  readonly alpha: number;
  readonly eps: number;
  /** λ, added to the gradient as L2 */
  readonly weightDecay: number;
  /** μ; 0 keeps no momentum slot */
  readonly momentum: number;
  /** λp enters v alone and not what is divided by its root, as in bitsandbytes' 8-bit kernel. Absent: false. */
  readonly decayInMeanOnly?: boolean;
}

/** Inputs, outputs and attributes of rmsprop, as kernels and references see them. `mean` makes it centered. */
export type RmspropShape = {
  in: { param: View; grad: View; v: View; mean?: View; momentum?: View; lr: View };
  out: { param: View; v: View; mean?: View; momentum?: View };
  attrs: RmspropAttrs;
  keeps: {};
  saved: {};
};

/**
 * One step of RMSProp (Tieleman and Hinton 2012) in the order of torch.optim.RMSprop: g ← g + λp;  v ← αv + (1−α)g²;
 * d = g / (√v + ε), or centered with a ← αa + (1−α)g, d = g / (√(v − a²) + ε);  p ← p − lr·d, or with momentum
 * b ← μb + d, p ← p − lr·b. Slots v, mean (a) and momentum (b) are f32 (f64 for f64). Consumes param and slots when donated.
 */
export const rmspropOp: Op<RmspropShape> = defineOp<RmspropShape>({
  name: "rmsprop",
  keeps: () => ({}),
  inPlace: { param: "param", v: "v", mean: "mean", momentum: "momentum" },
  infer({ in: { param, grad, v, mean, momentum } }) {
    const optional = { ...(mean && { mean }), ...(momentum && { momentum }) };
    checkStep("rmsprop", { param, grad, v, ...optional });
    return { out: { param, v, ...optional }, saved: {} };
  },
  forward(p, { in: { param, grad, v, mean, momentum, lr }, attrs }) {
    const { alpha, eps, weightDecay, decayInMeanOnly = false } = attrs;
    const from = p.cast(param, v.dtype);
    const plain = p.cast(grad, v.dtype);
    const g = weightDecay === 0 ? plain : p.add(plain, p.mul(from, weightDecay));
    const nextV = p.add(p.mul(v, alpha), p.mul(p.mul(g, g), 1 - alpha));
    const nextMean = mean && p.add(p.mul(mean, alpha), p.mul(g, 1 - alpha));
    const variance = nextMean ? p.sub(nextV, p.mul(nextMean, nextMean)) : nextV;
    const scaled = p.div(decayInMeanOnly ? plain : g, p.add(p.sqrt(variance), eps));
    const direction = momentum ? p.add(p.mul(momentum, attrs.momentum), scaled) : scaled;
    const next = p.cast(p.sub(from, p.mul(direction, lr)), param.dtype);
    const out = {
      param: next,
      v: nextV,
      ...(nextMean && { mean: nextMean }),
      ...(momentum && { momentum: direction }),
    };
    return { out, saved: {} };
  },
});
