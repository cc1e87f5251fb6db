import { type FloatDType, run, type Tensor, wideOf } from "@ft/tensor";
import {
  adam8bitOp,
  adamEach,
  adamEachOp,
  adamItems,
  adamOp,
  adamwOp,
  lionOp,
  rmspropOp,
  roundStochasticOp,
  sgdOp,
} from "@ft/tensor/ops";
import type { HostTensor } from "../host.ts";
import type { Random } from "../random.ts";
import { anyShape, type CaseInputs, type CaseSize, normals, number, type OpCase } from "./op-case.ts";

/** Parameter and gradient of one shape, and what slots beside them are made of. */
function stepInputs(random: Random, dtype: FloatDType, of: CaseSize) {
  const { axes, shape } = anyShape(random, of);
  const wide = wideOf(dtype);
  const slot = (): HostTensor => normals(random, wide, axes, shape);
  return {
    axes,
    slot,
    /** a mean of squares */
    squares(): HostTensor {
      const x = slot();
      return { ...x, values: Array.from(x.values, (v) => v * v) };
    },
    scalar: (value: number): HostTensor => number(wide, value),
    param: normals(random, dtype, axes, shape),
    grad: normals(random, dtype, axes, shape),
  };
}

/** Adam and AdamW take the same inputs; `step` runs one of them with the constants that both know. */
function adamCase(
  step: (inputs: AdamInputs, attrs: { beta1: number; beta2: number; eps: number; weightDecay: number }) => AdamResult,
) {
  return (random: Random, dtype: FloatDType, of: CaseSize): CaseInputs => {
    const { axes, slot, squares, scalar, param, grad } = stepInputs(random, dtype, of);
    const at = random.int(1, 50);
    const attrs = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: random.pick([0, 0.1]) };
    return {
      inputs: {
        param,
        grad,
        m: slot(),
        v: squares(),
        lr: scalar(0.01 * random.uniform()),
        correction1: scalar(1 - attrs.beta1 ** at),
        correction2: scalar(1 - attrs.beta2 ** at),
      },
      differentiable: [],
      consumes: ["param", "m", "v"],
      axes: { param: axes, m: axes, v: axes },
      call: ({ param, grad, m, v, lr, correction1, correction2 }) =>
        step(
          { param: param!, grad: grad!, m: m!, v: v!, lr: lr!, correction1: correction1!, correction2: correction2! },
          attrs,
        ),
    };
  };
}
interface AdamInputs {
  readonly param: Tensor;
  readonly grad: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  readonly lr: Tensor;
  readonly correction1: Tensor;
  readonly correction2: Tensor;
}
type AdamResult = { param: Tensor; m: Tensor; v: Tensor };

const axesOf = ({ param, m, v }: AdamInputs) => ({ param: param.axes, m: m.axes, v: v.axes });

/** Optimizer steps: they consume parameter and slots, and have no gradient. */
export const optimizerCases: readonly OpCase[] = [
  {
    name: "adam",
    op: adamOp,
    make: adamCase((inputs, attrs) => run(adamOp, { in: inputs, attrs, axes: axesOf(inputs), donate: true })),
  },
  {
    name: "adamw",
    op: adamwOp,
    make: adamCase((inputs, attrs) => run(adamwOp, { in: inputs, attrs, axes: axesOf(inputs), donate: true })),
  },
  {
    name: "adamw: bitsandbytes' order",
    op: adamwOp,
    make(random, dtype, of) {
      const attrs = { bitsandbytesOrder: true };
      const made = adamCase((inputs, constants) =>
        run(adamwOp, { in: inputs, attrs: { ...constants, ...attrs }, axes: axesOf(inputs), donate: true }),
      )(random, dtype, of);
      const grad = made.inputs.grad!;
      // such elements stay as they are
      const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      const values = Array.from(grad.values, (g) => (random.chance(0.1) ? random.pick(bad) : g));
      return { ...made, inputs: { ...made.inputs, grad: { ...grad, values } } };
    },
  },
  {
    name: "adamEach",
    op: adamEachOp(0),
    make(random, dtype, of) {
      const count = random.int(1, 40);
      const several = random.list(count, () =>
        stepInputs(random, dtype, of === "large" && random.int(0, 9) === 0 ? of : "small"),
      );
      const at = random.int(1, 50);
      const attrs = {
        ...{ beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: random.pick([0, 0.1]) },
        order: random.pick(["adam", "adamw", "bitsandbytes"] as const),
      };
      const inputs: { [name: string]: HostTensor } = {};
      const axes: { [output: string]: readonly string[] } = {};
      for (const [i, { param, grad, slot, squares, axes: own }] of several.entries()) {
        Object.assign(inputs, { [`param${i}`]: param, [`grad${i}`]: grad, [`m${i}`]: slot(), [`v${i}`]: squares() });
        Object.assign(axes, { [`param${i}`]: own, [`m${i}`]: own, [`v${i}`]: own });
      }
      const { scalar } = several[0]!;
      const numbers = {
        lr: scalar(0.01 * random.uniform()),
        correction1: scalar(1 - attrs.beta1 ** at),
        correction2: scalar(1 - attrs.beta2 ** at),
        ...(random.chance(0.5) && { scale: scalar(random.uniform()) }),
      };
      return {
        inputs: { ...inputs, ...numbers },
        differentiable: [],
        consumes: Object.keys(axes),
        axes,
        call({ lr, correction1, correction2, scale, ...rest }) {
          const next = adamEach(
            adamItems(rest),
            { lr: lr!, correction1: correction1!, correction2: correction2!, scale },
            attrs,
          );
          return Object.assign(
            {},
            ...next.map(({ param, m, v }, i) => ({ [`param${i}`]: param, [`m${i}`]: m, [`v${i}`]: v })),
          );
        },
      };
    },
  },
  {
    name: "adam8bit",
    op: adam8bitOp,
    needs: ["u8"],
    make(random, dtype, of) {
      const { axes, scalar, param, grad } = stepInputs(random, dtype, of);
      const { shape } = param;
      const n = shape.reduce((size, d) => size * d, 1);
      const codes = (least: number): HostTensor => {
        return { dtype: "u8", axes, shape, values: random.list(n, () => random.int(least, 255)) };
      };
      // a block without moments yet has none of either
      const blocks = random.list(Math.ceil(n / 256), () => (random.chance(0.1) ? 0 : 0.1 + random.uniform()));
      const maxima: HostTensor = { dtype: "f32", axes: ["block"], shape: [blocks.length], values: blocks };
      const at = random.int(1, 50);
      const attrs = {
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weightDecay: random.pick([0, 0.1]),
        order: random.pick(["adam", "adamw", "bitsandbytes"] as const),
        blockSize: 256,
      };
      return {
        inputs: {
          param,
          grad,
          m: codes(0),
          mAbsmax: maxima,
          // squares that are not far below those of m: steps of many times lr would magnify roundings
          v: codes(192),
          vAbsmax: maxima,
          lr: scalar(0.01 * random.uniform()),
          correction1: scalar(1 - 0.9 ** at),
          correction2: scalar(1 - 0.999 ** at),
        },
        differentiable: [],
        consumes: ["param", "m", "mAbsmax", "v", "vAbsmax"],
        axes: { param: axes, mAbsmax: ["block"], vAbsmax: ["block"] },
        call({ param, grad, m, mAbsmax, v, vAbsmax, lr, correction1, correction2 }) {
          const moments = { m: m!, mAbsmax: mAbsmax!, v: v!, vAbsmax: vAbsmax! };
          const next = run(adam8bitOp, {
            in: {
              param: param!,
              grad: grad!,
              ...moments,
              lr: lr!,
              correction1: correction1!,
              correction2: correction2!,
            },
            attrs,
            axes: { param: axes, m: axes, mAbsmax: ["block"], v: axes, vAbsmax: ["block"] },
            donate: true,
          });
          // a rounding may turn a code over, so that codes are compared where both sides round alike
          return { param: next.param, mAbsmax: next.mAbsmax, vAbsmax: next.vAbsmax };
        },
      };
    },
  },
  {
    name: "lion",
    op: lionOp,
    make(random, dtype, of) {
      const { axes, slot, scalar, param, grad } = stepInputs(random, dtype, of);
      const attrs = { beta1: 0.9, beta2: 0.99, weightDecay: random.pick([0, 0.1]) };
      // nothing to go by: a sign of 0
      const still = random.chance(0.3);
      const zeros = (x: HostTensor): HostTensor => ({ ...x, values: Array.from(x.values, () => 0) });
      const m = slot();
      return {
        inputs: {
          param,
          grad: still ? zeros(grad) : grad,
          m: still ? zeros(m) : m,
          lr: scalar(0.01 * random.uniform()),
        },
        differentiable: [],
        consumes: ["param", "m"],
        axes: { param: axes, m: axes },
        call: ({ param, grad, m, lr }) =>
          run(lionOp, {
            in: { param: param!, grad: grad!, m: m!, lr: lr! },
            attrs,
            axes: { param: axes, m: axes },
            donate: true,
          }),
      };
    },
  },
  {
    name: "rmsprop",
    op: rmspropOp,
    make(random, dtype, of) {
      const { axes, slot, squares, scalar, param, grad } = stepInputs(random, dtype, of);
      const [centered, held] = [random.chance(0.3), random.chance(0.3)];
      const weightDecay = random.pick([0, 0.1]);
      const decayInMeanOnly = random.chance(0.3);
      const attrs = { alpha: 0.99, eps: 1e-8, weightDecay, momentum: held ? 0.9 : 0, decayInMeanOnly };
      const v = squares();
      // a mean whose square leaves most of v, as means of the same gradients do
      const mean = { ...v, values: Array.from(v.values, (x) => Math.sqrt(x) * (random.uniform() - 0.5)) };
      const call = ({ param, grad, v, mean, momentum, lr }: { readonly [name: string]: Tensor }) => {
        const next = run(rmspropOp, {
          in: { param: param!, grad: grad!, v: v!, lr: lr!, ...(mean && { mean }), ...(momentum && { momentum }) },
          attrs,
          axes: { param: axes, v: axes, mean: axes, momentum: axes },
          donate: true,
        });
        const optional = { ...(next.mean && { mean: next.mean }), ...(next.momentum && { momentum: next.momentum }) };
        return { param: next.param, v: next.v, ...optional };
      };
      return {
        inputs: {
          param,
          grad,
          v,
          lr: scalar(0.01 * random.uniform()),
          ...(centered && { mean }),
          ...(held && { momentum: slot() }),
        },
        differentiable: [],
        consumes: ["param", "v", "mean", "momentum"],
        axes: { param: axes, v: axes, ...(centered && { mean: axes }), ...(held && { momentum: axes }) },
        call,
      };
    },
  },
  {
    name: "roundStochastic",
    op: roundStochasticOp,
    needs: ["f32", "bf16"],
    make(random, _dtype, of) {
      const { axes, shape } = anyShape(random, of);
      const attrs = { seed: random.int(0, 2 ** 32 - 1), stream: random.int(0, 2 ** 32 - 1) };
      return {
        inputs: { x: normals(random, "f32", axes, shape), step: number("f32", random.int(1, 1000)) },
        differentiable: [],
        exact: ["y"],
        axes: { y: axes },
        call: ({ x, step }) => run(roundStochasticOp, { in: { x: x!, step: step! }, attrs, axes: { y: axes } }),
      };
    },
  },
  {
    name: "sgd",
    op: sgdOp,
    make(random, dtype, of) {
      const { axes, slot, scalar, param, grad } = stepInputs(random, dtype, of);
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
        inputs: { param, grad, lr: scalar(0.1 * random.uniform()), ...(held && { momentum: slot() }) },
        differentiable: [],
        consumes: ["param", "momentum"],
        axes: { param: axes, ...(held && { momentum: axes }) },
        call,
      };
    },
  },
];
