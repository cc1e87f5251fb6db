import { run, type Tensor, type WideDType, wideOf, zeros } from "@ft/tensor";
import { rmspropOp } from "@ft/tensor/ops";
import type { Optimizer } from "../optimizer.ts";
import { checkRange, readSettings } from "../settings.ts";

/** Settings of rmsprop, each with its default. */
export interface RmspropOptions {
  /** α, decay of the mean of squared gradients; 0.99 */
  readonly alpha?: number;
  /** added to the root of that mean; 1e-8 */
  readonly eps?: number;
  /** λ, added to the gradient (L2); 0 */
  readonly weightDecay?: number;
  /** μ; 0 */
  readonly momentum?: number;
  /** divide by the root of the variance, not of the mean of squares; false */
  readonly centered?: boolean;
  /** whether norms and biases are decayed too, as in torch; true */
  readonly decayVectors?: boolean;
  /** the L2 term enters the mean of squares alone, as in bitsandbytes' 8-bit kernel; false */
  readonly bitsandbytesOrder?: boolean;
}

/** The mean of squares, the mean if centered, the running direction with momentum: in f32 (f64 for f64). */
export type RmspropSlots = {
  readonly v: Tensor<WideDType>;
  readonly mean?: Tensor<WideDType>;
  readonly momentum?: Tensor<WideDType>;
};

export const rmspropDefaults: Required<RmspropOptions> & { readonly [name: string]: number | boolean } = {
  alpha: 0.99,
  eps: 1e-8,
  weightDecay: 0,
  momentum: 0,
  centered: false,
  decayVectors: true,
  bitsandbytesOrder: false,
};

/** RMSProp (Tieleman and Hinton 2012), with torch.optim.RMSprop's defaults and numbers. */
export function rmsprop(options: RmspropOptions = {}): Optimizer<RmspropSlots, "lr"> {
  const settings = readSettings("rmsprop", rmspropDefaults, options);
  const { alpha, eps, weightDecay, momentum, centered, decayVectors, bitsandbytesOrder } = settings;
  checkRange("rmsprop.alpha", alpha, { below: 1 });
  checkRange("rmsprop.eps", eps);
  checkRange("rmsprop.weightDecay", weightDecay);
  checkRange("rmsprop.momentum", momentum, { below: 1 });
  return {
    name: "rmsprop",
    group: 1,
    nonNegative: ["v"],
    init({ param }) {
      const slot = () => zeros(param.backend, wideOf(param.dtype), param.axes, param.shape);
      return { v: slot(), ...(centered && { mean: slot() }), ...(momentum > 0 && { momentum: slot() }) };
    },
    scalars: ({ lr }) => ({ lr }),
    step({ role, param, grad, slots: { v, mean, momentum: held }, scalars: { lr } }) {
      const next = run(rmspropOp, {
        in: { param, grad, v, lr, ...(mean && { mean }), ...(held && { momentum: held }) },
        attrs: {
          alpha,
          eps,
          weightDecay: role === "vector" && !decayVectors ? 0 : weightDecay,
          momentum,
          decayInMeanOnly: bitsandbytesOrder,
        },
        axes: { param: param.axes, v: v.axes, ...(mean && { mean: mean.axes }), ...(held && { momentum: held.axes }) },
        donate: true,
      });
      const optional = { ...(next.mean && { mean: next.mean }), ...(next.momentum && { momentum: next.momentum }) };
      return { param: next.param, slots: { v: next.v, ...optional } };
    },
  };
}
