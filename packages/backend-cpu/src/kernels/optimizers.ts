import { defineKernel, type Kernel, type View } from "@ft/tensor";
import { type AdamWShape, adamwOp, type SgdShape, sgdOp } from "@ft/tensor/ops";
import { allF32, type CpuContext, f32 } from "../context.ts";

/** The C steps work in place: the new value starts as a copy unless the old buffer was donated. */
function carried(from: View, to: View): Float32Array {
  if (to.storage !== from.storage) f32(to).set(f32(from));
  return f32(to);
}

export const adamwKernel: Kernel<AdamWShape, CpuContext> = defineKernel(adamwOp, {
  accepts: ({ in: specs, attrs }) => allF32(specs) && attrs.bitsandbytesOrder !== true,
  forward({ native }, { in: { param, grad, m, v, lr, correction1, correction2 }, attrs, out }) {
    const { beta1, beta2, eps, weightDecay } = attrs;
    const [p, nextM, nextV] = [carried(param, out.param), carried(m, out.m), carried(v, out.v)];
    const [rate, c1, c2] = [f32(lr)[0]!, f32(correction1)[0]!, f32(correction2)[0]!];
    native.adamw(p, f32(grad), nextM, nextV, p.length, rate, beta1, beta2, eps, weightDecay, c1, c2);
  },
});

export const sgdKernel: Kernel<SgdShape, CpuContext> = defineKernel(sgdOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { param, grad, momentum, lr }, attrs, out }) {
    const p = carried(param, out.param);
    const buffer = momentum && out.momentum ? carried(momentum, out.momentum) : null;
    native.sgd(
      p,
      f32(grad),
      buffer,
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
