import type { View } from "../../backend.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Tensor } from "../../tensor.ts";
import { checkStep } from "../adamw/check-step.ts";
import { type OrderedAdamAttrs, orderedStep } from "../adamw/ordered.ts";

/** Constants of adamEach. */
export type AdamEachAttrs = OrderedAdamAttrs;

/** Inputs and outputs of adamEach, as kernels and references see them: param0, grad0, m0, v0, param1 and so on. */
export type AdamEachShape = {
  in: { lr: View; correction1: View; correction2: View; scale?: View; [name: string]: View | undefined };
  out: { [name: string]: View };
  attrs: AdamEachAttrs;
  keeps: {};
  saved: {};
};

/** One parameter with its gradient and moments. */
export interface AdamEachItem<V> {
  readonly param: V;
  readonly grad: V;
  readonly m: V;
  readonly v: V;
}

/** The parameters among named inputs, in order. */
export function adamItems<V>(named: { readonly [name: string]: V | undefined }): AdamEachItem<V>[] {
  const of = (name: string, i: number): V => {
    const found = named[`${name}${i}`];
    if (found === undefined)
      throw new FtError("input", `[adamEach] there is no ${name}${i}`, "pass four of each number");
    return found;
  };
  const items: AdamEachItem<V>[] = [];
  for (let i = 0; named[`param${i}`] !== undefined; i++)
    items.push({ param: of("param", i), grad: of("grad", i), m: of("m", i), v: of("v", i) });
  return items;
}

const name = "adamEach";

/** The op for so many parameters; kernels find all of them by one identity. */
export function adamEachOp(count: number): Op<AdamEachShape> {
  const outputs = Array.from({ length: count }, (_, i) => [`param${i}`, `m${i}`, `v${i}`]).flat();
  return defineOp<AdamEachShape>({
    name,
    keeps: () => ({}),
    inPlace: Object.fromEntries(outputs.map((output) => [output, output])),
    infer({ in: specs }) {
      const out = adamItems(specs).map(({ param, grad, m, v }, i) => {
        checkStep(name, { param, grad, m, v });
        return { [`param${i}`]: param, [`m${i}`]: m, [`v${i}`]: v };
      });
      return { out: Object.assign({}, ...out), saved: {} };
    },
    forward(p, { in: views, attrs }) {
      const { lr, correction1, correction2, scale } = views;
      const out: { [output: string]: View } = {};
      for (const [i, { param, grad, m, v }] of adamItems(views).entries()) {
        const scaled = scale ? p.mul(p.cast(grad, scale.dtype), scale) : grad;
        const at = { param, grad: scaled, m, v, lr, correction1, correction2 };
        const next = orderedStep(p, at, attrs);
        Object.assign(out, { [`param${i}`]: next.param, [`m${i}`]: next.m, [`v${i}`]: next.v });
      }
      return { out, saved: {} };
    },
  });
}

/** The identity of adamEach, whatever the count. */
export const adamEachId: symbol = adamEachOp(0).id;

/** Numbers of a step, on the backend; `scale` is a factor on every gradient, applied before all else. */
export interface AdamEachNumbers {
  readonly lr: Tensor;
  readonly correction1: Tensor;
  readonly correction2: Tensor;
  readonly scale?: Tensor | undefined;
}

/** A step of Adam of many parameters at once, each as adam or adamw has it. Consumes parameters and moments. */
export function adamEach(
  items: readonly AdamEachItem<Tensor>[],
  { lr, correction1, correction2, scale }: AdamEachNumbers,
  attrs: AdamEachAttrs,
): { readonly param: Tensor; readonly m: Tensor; readonly v: Tensor }[] {
  const named = (item: (i: number) => object): object => Object.assign({}, ...items.map((_, i) => item(i)));
  const inputs = named((i) => {
    const { param, grad, m, v } = items[i]!;
    return { [`param${i}`]: param, [`grad${i}`]: grad, [`m${i}`]: m, [`v${i}`]: v };
  });
  const axes = named((i) => {
    const { param, m, v } = items[i]!;
    return { [`param${i}`]: param.axes, [`m${i}`]: m.axes, [`v${i}`]: v.axes };
  }) as { [output: string]: readonly string[] };
  const y = run(adamEachOp(items.length), {
    in: { lr, correction1, correction2, ...(scale && { scale }), ...inputs },
    attrs,
    axes,
    donate: true,
  });
  return items.map((_, i) => ({ param: y[`param${i}`]!, m: y[`m${i}`]!, v: y[`v${i}`]! }));
}
