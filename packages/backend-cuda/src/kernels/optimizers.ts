import { bytesPerElement, defineKernel, type Kernel, type Spec, sizeOf } from "@ft/tensor";
import {
  type AdamEachShape,
  type AdamShape,
  type AdamWShape,
  adamEachOp,
  adamItems,
  adamOp,
  adamwOp,
  type LionShape,
  lionOp,
  type RmspropShape,
  rmspropOp,
  type SgdShape,
  sgdOp,
} from "@ft/tensor/ops";
import { at, type CudaContext, type CudaView } from "../context.ts";

/** Parameter and gradient as kernels are named; one of them is f32 unless both are the same. */
const pairs: ReadonlySet<string> = new Set([
  "f32_f32",
  "f32_bf16",
  "f32_f16",
  "bf16_bf16",
  "bf16_f32",
  "f16_f16",
  "f16_f32",
]);

/** Whether a step's parameter and gradient are of a pair that has kernels, and all else is f32. */
export function acceptsStep(inputs: {
  readonly param: Spec;
  readonly grad: Spec;
  readonly [name: string]: Spec;
}): boolean {
  const { param, grad, ...others } = inputs;
  return pairs.has(`${param.dtype}_${grad.dtype}`) && Object.values(others).every(({ dtype }) => dtype === "f32");
}

/** 1 where every address is a multiple of four elements. */
function packed(views: readonly (CudaView | undefined)[]): 0 | 1 {
  const fits = (view: CudaView): boolean => at(view) % BigInt(4 * bytesPerElement[view.dtype]) === 0n;
  return views.every((view) => view === undefined || fits(view)) ? 1 : 0;
}

/** Queues the step of one tensor, four elements a thread. */
function step(
  context: CudaContext,
  name: string,
  inputs: { readonly param: CudaView; readonly grad: CudaView },
  args: readonly (CudaView | number | undefined)[],
): void {
  const { param, grad } = inputs;
  const n = sizeOf(param.shape);
  if (n > 0) context.launch(`${name}_${param.dtype}_${grad.dtype}`, Math.ceil(n / 1024), 256, args);
}

/** Adam's orders as optimizer-steps.cuh counts them. */
export const adamOrders = { adamw: 0, bitsandbytes: 1, adam: 2 } as const;

/** β and 1 − β, each rounded to f32 from f64. */
export const shares = (beta: number): readonly [number, number] => [beta, 1 - beta];

function adamStep(
  context: CudaContext,
  { in: { param, grad, m, v, lr, correction1, correction2 }, out }: Pick<AdamShape, "in" | "out">,
  { beta1, beta2, eps, weightDecay }: AdamShape["attrs"],
  order: 0 | 1 | 2,
): void {
  const constants = [...shares(beta1), ...shares(beta2), eps, weightDecay, order];
  const aligned = packed([param, grad, m, v, out.param, out.m, out.v]);
  const views = [param, grad, m, v, lr, correction1, correction2, out.param, out.m, out.v];
  step(context, "adam", { param, grad }, [...views, sizeOf(param.shape), ...constants, aligned]);
}

export const adamwKernel: Kernel<AdamWShape, CudaContext> = defineKernel(adamwOp, {
  accepts: ({ in: specs }) => acceptsStep({ ...specs }),
  forward: (context, at) =>
    adamStep(context, at, at.attrs, at.attrs.bitsandbytesOrder ? adamOrders.bitsandbytes : adamOrders.adamw),
});

export const adamKernel: Kernel<AdamShape, CudaContext> = defineKernel(adamOp, {
  accepts: ({ in: specs }) => acceptsStep({ ...specs }),
  forward: (context, at) => adamStep(context, at, at.attrs, adamOrders.adam),
});

/** what one launch takes */
const together = 24;

/** Many parameters a launch, in place, each with the bits that adam or adamw alone gives it. */
export const adamEachKernel: Kernel<AdamEachShape, CudaContext> = defineKernel(adamEachOp(0), {
  accepts({ in: specs }) {
    const { lr, correction1, correction2, scale, ...rest } = specs;
    const scalars = { lr, correction1, correction2, ...(scale && { scale }) };
    const items = adamItems(rest);
    const dtypes = new Set(items.map(({ param, grad }) => `${param.dtype}_${grad.dtype}`));
    return dtypes.size <= 1 && items.every(({ param, grad, m, v }) => acceptsStep({ param, grad, m, v, ...scalars }));
  },
  forward(context, { in: views, attrs: { beta1, beta2, eps, weightDecay, order }, out }) {
    const items = adamItems(views);
    const numbers = [views.lr, views.correction1, views.correction2, views.scale];
    const constants = [...shares(beta1), ...shares(beta2), eps, weightDecay, adamOrders[order]];
    const next = (name: string, from: CudaView): CudaView => {
      const to = out[name] ?? from;
      if (to.storage !== from.storage) context.copy(at(to), at(from), bytesPerElement[from.dtype] * sizeOf(from.shape));
      return to;
    };
    for (let first = 0; first < items.length; first += together) {
      const group = items.slice(first, first + together);
      const places = group.map(({ param, grad, m, v }, i) => ({
        param: next(`param${first + i}`, param),
        grad,
        m: next(`m${first + i}`, m),
        v: next(`v${first + i}`, v),
        n: sizeOf(param.shape),
      }));
      const none = new Array<undefined>(together - group.length).fill(undefined);
      const [{ param, grad }] = places as [(typeof places)[number]];
      const largest = Math.max(...places.map(({ n }) => n));
      context.launch(`adam_each_${param.dtype}_${grad.dtype}`, [Math.ceil(largest / 1024), group.length], 256, [
        ...[...places.map((place) => place.param), ...none],
        ...[...places.map((place) => place.grad), ...none],
        ...[...places.map(({ m }) => m), ...none],
        ...[...places.map(({ v }) => v), ...none],
        ...[...places.map(({ n }) => n), ...none.map(() => 0)],
        ...numbers,
        ...constants,
      ]);
    }
  },
});

export const lionKernel: Kernel<LionShape, CudaContext> = defineKernel(lionOp, {
  accepts: ({ in: specs }) => acceptsStep({ ...specs }),
  forward(context, { in: { param, grad, m, lr }, attrs: { beta1, beta2, weightDecay }, out }) {
    const aligned = packed([param, grad, m, out.param, out.m]);
    const constants = [...shares(beta1), ...shares(beta2), weightDecay];
    const views = [param, grad, m, lr, out.param, out.m];
    step(context, "lion", { param, grad }, [...views, sizeOf(param.shape), ...constants, aligned]);
  },
});

export const rmspropKernel: Kernel<RmspropShape, CudaContext> = defineKernel(rmspropOp, {
  accepts: ({ in: specs }) => acceptsStep({ ...specs }),
  forward(context, { in: { param, grad, v, mean, momentum, lr }, attrs, out }) {
    const next = [out.param, out.v, out.mean, out.momentum];
    const aligned = packed([param, grad, v, mean, momentum, ...next]);
    const constants = [
      ...shares(attrs.alpha),
      attrs.eps,
      attrs.weightDecay,
      attrs.momentum,
      attrs.decayInMeanOnly ? 1 : 0,
    ];
    const views = [param, grad, v, mean, momentum, lr, ...next];
    step(context, "rmsprop", { param, grad }, [...views, sizeOf(param.shape), ...constants, aligned]);
  },
});

export const sgdKernel: Kernel<SgdShape, CudaContext> = defineKernel(sgdOp, {
  accepts: ({ in: specs }) => acceptsStep({ ...specs }),
  forward(context, { in: { param, grad, momentum, lr }, attrs, out }) {
    const next = [out.param, out.momentum];
    const constants = [attrs.momentum, attrs.nesterov ? 1 : 0, attrs.weightDecay];
    const views = [param, grad, momentum, lr, ...next];
    const aligned = packed([param, grad, momentum, ...next]);
    step(context, "sgd", { param, grad }, [...views, sizeOf(param.shape), ...constants, aligned]);
  },
});
