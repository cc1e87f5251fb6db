import { run, type Tensor, type WideDType, wideOf, zeros } from "@ft/tensor";
import { lionOp } from "@ft/tensor/ops";
import type { Optimizer } from "../optimizer.ts";
import { checkRange, readSettings } from "../settings.ts";

/** Settings of lion, each with its default. */
export interface LionOptions {
  /** share of the old momentum in the direction; 0.9 */
  readonly beta1?: number;
  /** decay of the momentum that is kept; 0.99 */
  readonly beta2?: number;
  /** λ, decoupled from the gradient: p loses lr·λ of itself; 0. Its authors give it 3 to 10 times AdamW's, at a rate as much smaller. */
  readonly weightDecay?: number;
  /** whether norms and biases are decayed too; true */
  readonly decayVectors?: boolean;
}

/** The momentum, in f32 (f64 for f64). */
export type LionSlots = { readonly m: Tensor<WideDType> };

export const lionDefaults: Required<LionOptions> & { readonly [name: string]: number | boolean } = {
  beta1: 0.9,
  beta2: 0.99,
  weightDecay: 0,
  decayVectors: true,
};

/** Lion (Chen et al. 2023, "Symbolic discovery of optimization algorithms"): every element moves by lr, up or down. */
export function lion(options: LionOptions = {}): Optimizer<LionSlots, "lr"> {
  const { beta1, beta2, weightDecay, decayVectors } = readSettings("lion", lionDefaults, options);
  checkRange("lion.beta1", beta1, { below: 1 });
  checkRange("lion.beta2", beta2, { below: 1 });
  checkRange("lion.weightDecay", weightDecay);
  return {
    name: "lion",
    group: 1,
    init: ({ param }) => ({ m: zeros(param.backend, wideOf(param.dtype), param.axes, param.shape) }),
    scalars: ({ lr }) => ({ lr }),
    step({ role, param, grad, slots: { m }, scalars: { lr } }) {
      const next = run(lionOp, {
        in: { param, grad, m, lr },
        attrs: { beta1, beta2, weightDecay: role === "vector" && !decayVectors ? 0 : weightDecay },
        axes: { param: param.axes, m: m.axes },
        donate: true,
      });
      return { param: next.param, slots: { m: next.m } };
    },
  };
}
