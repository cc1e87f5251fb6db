import { defineKernel, type Kernel, type View } from "@ft/tensor";
import {
  type AdamShape,
  type AdamWShape,
  adamOp,
  adamwOp,
  type LionShape,
  lionOp,
  type RmspropShape,
  rmspropOp,
  type SgdShape,
  sgdOp,
} from "@ft/tensor/ops";
import { allF32, type CpuContext, f32 } from "../context.ts";

/** The C steps work in place: the new value starts as a copy unless the old buffer was donated. */
function carried(from: View, to: View): Float32Array {
  if (to.storage !== from.storage) f32(to).set(f32(from));
  return f32(to);
}

/** A slot that may be absent. */
function optional(from: View | undefined, to: View | undefined): Float32Array | null {
  return from && to ? carried(from, to) : null;
}

function adamStep(
  { native }: CpuContext,
  { in: { param, grad, m, v, lr, correction1, correction2 }, out }: Pick<AdamShape, "in" | "out">,
  { beta1, beta2, eps, weightDecay }: AdamShape["attrs"],
  order: 0 | 1 | 2,
): void {
  const [p, nextM, nextV] = [carried(param, out.param), carried(m, out.m), carried(v, out.v)];
  const [rate, c1, c2] = [f32(lr)[0]!, f32(correction1)[0]!, f32(correction2)[0]!];
  native.adam(p, f32(grad), nextM, nextV, p.length, rate, beta1, beta2, eps, weightDecay, c1, c2, order);
}

export const adamwKernel: Kernel<AdamWShape, CpuContext> = defineKernel(adamwOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward: (context, at) => adamStep(context, at, at.attrs, at.attrs.bitsandbytesOrder ? 1 : 0),
});

export const adamKernel: Kernel<AdamShape, CpuContext> = defineKernel(adamOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward: (context, at) => adamStep(context, at, at.attrs, 2),
});

export const lionKernel: Kernel<LionShape, CpuContext> = defineKernel(lionOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { param, grad, m, lr }, attrs: { beta1, beta2, weightDecay }, out }) {
    const p = carried(param, out.param);
    native.lion(p, f32(grad), carried(m, out.m), p.length, f32(lr)[0]!, beta1, beta2, weightDecay);
  },
});

export const rmspropKernel: Kernel<RmspropShape, CpuContext> = defineKernel(rmspropOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { param, grad, v, mean, momentum, lr }, attrs, out }) {
    const p = carried(param, out.param);
    native.rmsprop(
      p,
      f32(grad),
      carried(v, out.v),
      optional(mean, out.mean),
      optional(momentum, out.momentum),
      p.length,
      f32(lr)[0]!,
      attrs.alpha,
      attrs.eps,
      attrs.weightDecay,
      attrs.momentum,
      attrs.decayInMeanOnly ? 1 : 0,
    );
  },
});

export const sgdKernel: Kernel<SgdShape, CpuContext> = defineKernel(sgdOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { param, grad, momentum, lr }, attrs, out }) {
    const p = carried(param, out.param);
    native.sgd(
      p,
      f32(grad),
      optional(momentum, out.momentum),
      p.length,
      f32(lr)[0]!,
      attrs.momentum,
      0,
      attrs.nesterov ? 1 : 0,
      attrs.weightDecay,
      0,
    );
  },
});
