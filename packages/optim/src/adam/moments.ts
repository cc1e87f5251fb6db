import { type Tensor, type WideDType, wideOf, zeros } from "@ft/tensor";
import { type AdamEachAttrs, adamEach, adamEachId } from "@ft/tensor/ops";
import type { Optimizer } from "../optimizer.ts";
import type { Role } from "../role.ts";
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

/** so many go into one op: it looks through all of its inputs for each */
const together = 96;

/** stepEach() of both, where the backend has a kernel for many parameters; `attrsOf` is told their role. */
export function adamStepEach(attrsOf: (role: Role) => AdamEachAttrs): NonNullable<AdamLike["stepEach"]> {
  return (parameters, { scalars, scale }) => {
    const [first] = parameters;
    if (!first?.param.backend.kernels.has(adamEachId)) return undefined;
    const alike = ({ param, grad }: (typeof parameters)[number]): boolean =>
      param.dtype === first.param.dtype && grad.dtype === first.grad.dtype;
    if (first.param.dtype === "f64" || !parameters.every(alike)) return undefined;
    const next: { param: Tensor; slots: AdamSlots }[] = new Array(parameters.length);
    for (const role of new Set(parameters.map((at) => at.role))) {
      const places = [...parameters.keys()].filter((i) => parameters[i]!.role === role);
      for (let from = 0; from < places.length; from += together) {
        const some = places.slice(from, from + together);
        const items = some.map((i) => {
          const { param, grad, slots } = parameters[i]!;
          return { param, grad, ...slots };
        });
        for (const [at, { param, m, v }] of adamEach(items, { ...scalars, scale }, attrsOf(role)).entries())
          next[some[at]!] = { param, slots: { m, v } as AdamSlots };
      }
    }
    return next;
  };
}
