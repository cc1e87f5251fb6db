import { defineKernel, type Kernel, sizeOf } from "@ft/tensor";
import { type Adam8bitShape, adam8bitOp } from "@ft/tensor/ops";
import { at, type CudaContext } from "../context.ts";
import { aligned } from "./alignment.ts";
import { tables8bit } from "./code-tables.ts";
import { acceptsStep, adamOrders, shares } from "./optimizers.ts";

/** Decoding, the step and encoding in one pass: the bits of the four kernels, and no moment in f32 in memory. */
export const adam8bitKernel: Kernel<Adam8bitShape, CudaContext> = defineKernel(adam8bitOp, {
  accepts: ({ in: { m: _, v: __, ...floats }, attrs: { blockSize } }) => blockSize === 256 && acceptsStep(floats),
  forward(context, { in: { param, grad, m, mAbsmax, v, vAbsmax, ...scalars }, attrs, out }) {
    const n = sizeOf(param.shape);
    const [forM, forV] = [tables8bit(context, "dynamic"), tables8bit(context, "udynamic")];
    // blocks of threads stay, since each reads the tables first: as many as there is room for at a time
    const grid = Math.min(Math.ceil(n / 2048), 4 * context.card.multiprocessors);
    const codes = [m, v, out.m, out.v];
    const packed = aligned(param, grad, out.param) && codes.every((view) => at(view) % 8n === 0n) ? 1 : 0;
    context.launch(`adam_8bit_${param.dtype}_${grad.dtype}`, grid, 256, [
      ...[param, grad, m, mAbsmax, v, vAbsmax, scalars.lr, scalars.correction1, scalars.correction2],
      ...[out.param, out.m, out.mAbsmax, out.v, out.vAbsmax],
      ...[forM.map, forM.bounds, forM.keys, forV.map, forV.bounds, forV.keys, n],
      ...[...shares(attrs.beta1), ...shares(attrs.beta2), attrs.eps, attrs.weightDecay],
      ...[adamOrders[attrs.order], packed],
    ]);
  },
});
