import { run } from "@ft/tensor";
import { adamwOp } from "@ft/tensor/ops";
import { adamDefaults } from "../adam/adam.ts";
import { type AdamLike, adamMoments, adamStepEach } from "../adam/moments.ts";
import type { Role } from "../role.ts";
import { readSettings } from "../settings.ts";

/** Settings of adamw, each with its default. */
export interface AdamWOptions {
  /** decay of the mean of gradients; 0.9 */
  readonly beta1?: number;
  /** decay of the mean of squared gradients; 0.999 */
  readonly beta2?: number;
  /** added to the root of the second moment; 1e-8 */
  readonly eps?: number;
  /** λ, decoupled from the gradient: p loses lr·λ of itself; 0.01 */
  readonly weightDecay?: number;
  /** whether norms and biases are decayed too, as in torch; true. Most recipes for language models say false. */
  readonly decayVectors?: boolean;
  /** decay after the step, and leave elements alone whose gradient is not finite, as bitsandbytes' 8-bit AdamW; false */
  readonly bitsandbytesOrder?: boolean;
}

export const adamwDefaults: Required<AdamWOptions> & { readonly [name: string]: number | boolean } = {
  ...adamDefaults,
  weightDecay: 0.01,
};

/** AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization"), with torch.optim.AdamW's defaults and numbers. */
export function adamw(options: AdamWOptions = {}): AdamLike {
  const settings = readSettings("adamw", adamwDefaults, options);
  const { beta1, beta2, eps, weightDecay, decayVectors, bitsandbytesOrder } = settings;
  const decayOf = (role: Role): number => (role === "vector" && !decayVectors ? 0 : weightDecay);
  const order = bitsandbytesOrder ? "bitsandbytes" : "adamw";
  return {
    ...adamMoments("adamw", settings),
    step({ role, param, grad, slots: { m, v }, scalars: { lr, correction1, correction2 } }) {
      const decay = decayOf(role);
      const next = run(adamwOp, {
        in: { param, grad, m, v, lr, correction1, correction2 },
        attrs: { beta1, beta2, eps, weightDecay: decay, bitsandbytesOrder },
        axes: { param: param.axes, m: m.axes, v: v.axes },
        donate: true,
      });
      return { param: next.param, slots: { m: next.m, v: next.v } };
    },
    stepEach: adamStepEach((role) => ({ beta1, beta2, eps, weightDecay: decayOf(role), order })),
  };
}
