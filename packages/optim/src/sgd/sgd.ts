import { FtError, run, type Tensor, type WideDType, wideOf, zeros } from "@ft/tensor";
import { sgdOp } from "@ft/tensor/ops";
import type { Optimizer } from "../optimizer.ts";
import { checkRange, readSettings } from "../settings.ts";

/** Settings of sgd, each with its default. */
export interface SgdOptions {
  /** μ; 0 */
  readonly momentum?: number;
  /** look ahead along the momentum; false */
  readonly nesterov?: boolean;
  /** λ, added to the gradient (L2); 0 */
  readonly weightDecay?: number;
  /** whether norms and biases are decayed too, as in torch; true */
  readonly decayVectors?: boolean;
}

/** The running direction, in f32 (f64 for f64); no slot without momentum. */
export type SgdSlots = { readonly momentum?: Tensor<WideDType> };

export const sgdDefaults: Required<SgdOptions> & { readonly [name: string]: number | boolean } = {
  momentum: 0,
  nesterov: false,
  weightDecay: 0,
  decayVectors: true,
};

/** Stochastic gradient descent with momentum (Sutskever et al. 2013), with the numbers of torch.optim.SGD, dampening 0. */
export function sgd(options: SgdOptions = {}): Optimizer<SgdSlots, "lr"> {
  const { momentum, nesterov, weightDecay, decayVectors } = readSettings("sgd", sgdDefaults, options);
  checkRange("sgd.momentum", momentum, { below: 1 });
  checkRange("sgd.weightDecay", weightDecay);
  if (nesterov && momentum === 0)
    throw new FtError("config", "sgd.nesterov is true, sgd.momentum is 0", "set a momentum, such as 0.9");
  return {
    name: "sgd",
    group: 1,
    init: ({ param }) =>
      momentum === 0 ? {} : { momentum: zeros(param.backend, wideOf(param.dtype), param.axes, param.shape) },
    scalars: ({ lr }) => ({ lr }),
    step({ role, param, grad, slots, scalars: { lr } }) {
      const held = slots.momentum;
      const next = run(sgdOp, {
        in: { param, grad, lr, ...(held && { momentum: held }) },
        attrs: { momentum, nesterov, weightDecay: role === "vector" && !decayVectors ? 0 : weightDecay },
        axes: { param: param.axes, ...(held && { momentum: held.axes }) },
        donate: true,
      });
      return { param: next.param, slots: { ...(next.momentum && { momentum: next.momentum }) } };
    },
  };
}
