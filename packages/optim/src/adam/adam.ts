import { run } from "@ft/tensor";
import { adamOp, adamwOp } from "@ft/tensor/ops";
import type { Role } from "../role.ts";
import { readSettings } from "../settings.ts";
import { type AdamLike, adamMoments, adamStepEach } from "./moments.ts";

/** Settings of adam, each with its default. */
export interface AdamOptions {
  /** decay of the mean of gradients; 0.9 */
  readonly beta1?: number;
  /** decay of the mean of squared gradients; 0.999 */
  readonly beta2?: number;
  /** added to the root of the second moment; 1e-8 */
  readonly eps?: number;
  /** λ, added to the gradient (L2), and so scaled by the step like it; 0 */
  readonly weightDecay?: number;
  /** whether norms and biases are decayed too, as in torch; true */
  readonly decayVectors?: boolean;
  /** what bitsandbytes calls Adam: adamw with its bitsandbytesOrder, the decay apart from the gradient; false */
  readonly bitsandbytesOrder?: boolean;
}

export const adamDefaults: Required<AdamOptions> & { readonly [name: string]: number | boolean } = {
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0,
  decayVectors: true,
  bitsandbytesOrder: false,
};

/** Adam (Kingma and Ba 2015, "Adam: a method for stochastic optimization"), with torch.optim.Adam's defaults and numbers. */
export function adam(options: AdamOptions = {}): AdamLike {
  const settings = readSettings("adam", adamDefaults, options);
  const { beta1, beta2, eps, weightDecay, decayVectors, bitsandbytesOrder } = settings;
  const decayOf = (role: Role): number => (role === "vector" && !decayVectors ? 0 : weightDecay);
  const order = bitsandbytesOrder ? "bitsandbytes" : "adam";
  return {
    ...adamMoments("adam", settings),
    step({ role, param, grad, slots: { m, v }, scalars: { lr, correction1, correction2 } }) {
      const decay = decayOf(role);
      const call = {
        in: { param, grad, m, v, lr, correction1, correction2 },
        attrs: { beta1, beta2, eps, weightDecay: decay },
        axes: { param: param.axes, m: m.axes, v: v.axes },
        donate: true,
      };
      const next = bitsandbytesOrder
        ? run(adamwOp, { ...call, attrs: { ...call.attrs, bitsandbytesOrder } })
        : run(adamOp, call);
      return { param: next.param, slots: { m: next.m, v: next.v } };
    },
    stepEach: adamStepEach((role) => ({ beta1, beta2, eps, weightDecay: decayOf(role), order })),
  };
}
