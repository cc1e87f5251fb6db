import { defineKernel, dim, type Kernel, sizeOf } from "@ft/tensor";
import { type RmsNorm, type Rope, rmsNormOp, ropeOp } from "@ft/tensor/ops";
import { allF32, type CpuContext, f32, i32 } from "../context.ts";

export const rmsNormKernel: Kernel<RmsNorm, CpuContext> = defineKernel(rmsNormOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { x, weight }, attrs: { eps }, out: { y }, saved: { rstd } }) {
    const h = dim(x, -1);
    native.rmsnorm_fwd(f32(x), f32(weight), eps, sizeOf(x.shape) / h, h, f32(y), f32(rstd));
  },
  vjp({ native }, { kept: { x, weight }, saved: { rstd }, grad: { y }, wants, into }) {
    const h = dim(x, -1);
    const made: Partial<RmsNorm["in"]> = {};
    if (wants.x) made.x = into("x");
    if (wants.weight) made.weight = into("weight");
    const dx = made.x ? f32(made.x) : null;
    const dw = made.weight ? f32(made.weight) : null;
    native.rmsnorm_bwd(f32(x), f32(weight), f32(rstd), f32(y), sizeOf(x.shape) / h, h, dx, dw);
    return made;
  },
});

export const ropeKernel: Kernel<Rope, CpuContext> = defineKernel(ropeOp, {
  accepts: ({ in: specs }) => allF32(specs),
  forward({ native }, { in: { x, positions, inverseFrequencies }, out: { y } }) {
    const [heads, d] = [dim(x, 2), dim(x, 3)];
    native.rope(f32(x), i32(positions), f32(inverseFrequencies), sizeOf(positions.shape), heads, d, 1, f32(y));
  },
  vjp({ native }, { kept: { positions, inverseFrequencies }, grad: { y }, into }) {
    const [heads, d] = [dim(y, 2), dim(y, 3)];
    const x = into("x");
    native.rope(f32(y), i32(positions), f32(inverseFrequencies), sizeOf(positions.shape), heads, d, -1, f32(x));
    return { x };
  },
});
