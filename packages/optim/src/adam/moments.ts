import { type Tensor, type WideDType, wideOf, zeros } from "@ft/tensor";
import type { Optimizer } from "../optimizer.ts";
import { checkRange } from "../settings.ts";

/** Means of the gradient and of its square, in f32 (f64 for f64). */
export type AdamSlots = { readonly m: Tensor<WideDType>; readonly v: Tensor<WideDType> };

/** An optimizer with the moments of Adam and their corrections. */
export type AdamLike = Optimizer<AdamSlots, "lr" | "correction1" | "correction2">;

interface Settings {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
}

/** What adam and adamw are but for their step. Code "config" for settings out of range. */
export function adamMoments(name: string, { beta1, beta2, eps, weightDecay }: Settings): Omit<AdamLike, "step"> {
  checkRange(`${name}.beta1`, beta1, { below: 1 });
  checkRange(`${name}.beta2`, beta2, { below: 1 });
  checkRange(`${name}.eps`, eps);
  checkRange(`${name}.weightDecay`, weightDecay);
  return {
    name,
    group: 1,
    nonNegative: ["v"],
    init({ param }) {
      const moment = () => zeros(param.backend, wideOf(param.dtype), param.axes, param.shape);
      return { m: moment(), v: moment() };
    },
    scalars: ({ step, lr }) => ({ lr, correction1: 1 - beta1 ** step, correction2: 1 - beta2 ** step }),
  };
}
