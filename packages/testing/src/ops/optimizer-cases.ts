import { run, type Tensor, wideOf } from "@ft/tensor";
import { adamwOp, sgdOp } from "@ft/tensor/ops";
import { anyShape, normals, number, type OpCase } from "./op-case.ts";

/** Optimizer steps: they consume parameter and slots, and have no gradient. */
export const optimizerCases: readonly OpCase[] = [
  {
    name: "adamw",
    op: adamwOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const wide = wideOf(dtype);
      const v = normals(random, wide, axes, shape);
      const step = random.int(1, 50);
      const attrs = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: random.pick([0, 0.1]) };
      return {
        inputs: {
          param: normals(random, dtype, axes, shape),
          grad: normals(random, dtype, axes, shape),
          m: normals(random, wide, axes, shape),
          v: { ...v, values: Array.from(v.values, (x) => x * x) },
          lr: number(wide, 0.01 * random.uniform()),
          correction1: number(wide, 1 - attrs.beta1 ** step),
          correction2: number(wide, 1 - attrs.beta2 ** step),
        },
        differentiable: [],
        consumes: ["param", "m", "v"],
        axes: { param: axes, m: axes, v: axes },
        call: ({ param, grad, m, v, lr, correction1, correction2 }) =>
          run(adamwOp, {
            in: {
              param: param!,
              grad: grad!,
              m: m!,
              v: v!,
              lr: lr!,
              correction1: correction1!,
              correction2: correction2!,
            },
            attrs,
            axes: { param: axes, m: axes, v: axes },
            donate: true,
          }),
      };
    },
  },
  {
    name: "sgd",
    op: sgdOp,
    make(random, dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const wide = wideOf(dtype);
      const held = random.chance(0.7);
      const attrs = {
        momentum: held ? 0.9 : 0,
        nesterov: held && random.chance(0.5),
        weightDecay: random.pick([0, 0.1]),
      };
      const call = ({ param, grad, momentum, lr }: { readonly [name: string]: Tensor }): { [name: string]: Tensor } => {
        const next = run(sgdOp, {
          in: { param: param!, grad: grad!, lr: lr!, ...(momentum && { momentum }) },
          attrs,
          axes: { param: axes, momentum: axes },
          donate: true,
        });
        return { param: next.param, ...(next.momentum && { momentum: next.momentum }) };
      };
      return {
        inputs: {
          param: normals(random, dtype, axes, shape),
          grad: normals(random, dtype, axes, shape),
          lr: number(wide, 0.1 * random.uniform()),
          ...(held && { momentum: normals(random, wide, axes, shape) }),
        },
        differentiable: [],
        consumes: ["param", "momentum"],
        axes: { param: axes, ...(held && { momentum: axes }) },
        call,
      };
    },
  },
];
