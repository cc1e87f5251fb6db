import type { P } from "../../prims.ts";
import { type AdamAttrs, type AdamShape, adamOp } from "../adam/adam.ts";
import { adamwOp } from "./adamw.ts";

/** Whose step of Adam it is: that of adam, of adamw, or of adamw with bitsandbytesOrder. */
export type AdamOrder = "adam" | "adamw" | "bitsandbytes";

/** Constants of a step in one of the orders. */
export interface OrderedAdamAttrs extends AdamAttrs {
  readonly order: AdamOrder;
}

const wants = { param: false, grad: false, m: false, v: false, lr: false, correction1: false, correction2: false };

/** The step of adam or adamw, as the order says, in primitives. */
export function orderedStep(p: P, views: AdamShape["in"], attrs: OrderedAdamAttrs): AdamShape["out"] {
  const { beta1, beta2, eps, weightDecay, order } = attrs;
  const constants = { beta1, beta2, eps, weightDecay };
  if (order === "adam") return adamOp.forward(p, { in: views, attrs: constants, wants }).out;
  const bitsandbytesOrder = order === "bitsandbytes";
  return adamwOp.forward(p, { in: views, attrs: { ...constants, bitsandbytesOrder }, wants }).out;
}
