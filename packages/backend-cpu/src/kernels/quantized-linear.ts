import { defineKernel, dim, FtError, type Kernel, sizeOf } from "@ft/tensor";
import {
  dynamicMap,
  type Int8LinearShape,
  int8LinearOp,
  type Nf4LinearShape,
  nestedBlockSize,
  nf4LinearOp,
  type Packed4bit,
} from "@ft/tensor/ops";
import type { CpuView } from "../buffer.ts";
import { type CpuContext, f32, i8, u8 } from "../context.ts";
import { columnSums, fillRows } from "./linear.ts";
import { kinds4bit } from "./quantize.ts";

/** Runs `fn` over the absmax of each block, which nested statistics are expanded to. */
function withScales(
  { native, scratch }: CpuContext,
  { absmax, nestedAbsmax, offset }: Omit<Packed4bit<CpuView>, "codes">,
  fn: (scales: Float32Array) => void,
): void {
  if (nestedAbsmax === undefined || offset === undefined) {
    fn(f32(absmax));
    return;
  }
  const blocks = dim(absmax, 0);
  scratch(blocks, (scales) => {
    native.dequantize_8bit(u8(absmax), blocks, dynamicMap, f32(nestedAbsmax), nestedBlockSize, f32(offset), scales);
    fn(scales);
  });
}

/** As linear, over codes: panels of the product are unpacked from them, and no dense weight exists. */
export const nf4LinearKernel: Kernel<Nf4LinearShape, CpuContext> = defineKernel(nf4LinearOp, {
  accepts: ({ in: { codes: _, absmax, ...floats } }) =>
    (absmax.dtype === "f32" || absmax.dtype === "u8") && Object.values(floats).every(({ dtype }) => dtype === "f32"),
  forward(context, { in: { x, bias, codes, ...statistics }, attrs, out: { y } }) {
    const [n, k] = attrs.shape;
    const m = sizeOf(x.shape) / k;
    const c = f32(y);
    if (bias) fillRows(c, f32(bias), m);
    withScales(context, statistics, (scales) => {
      const weight = [u8(codes), kinds4bit[attrs.type], scales, attrs.blockSize, k, 1] as const;
      check(context.native.gemm(m, n, k, f32(x), k, 0, ...weight, c, n, 1, bias ? 1 : 0, context.products));
    });
  },
  vjp(context, { kept: { codes, absmax, nestedAbsmax, offset }, grad: { y }, attrs, wants, spec, onto, into }) {
    const [n, k] = attrs.shape;
    const m = sizeOf(spec.x.shape) / k;
    const g = f32(y);
    const made: Partial<Nf4LinearShape["in"]> = {};
    if (codes && absmax) {
      const { to, beta } = onto("x");
      const statistics = { absmax, ...(nestedAbsmax && { nestedAbsmax }), ...(offset && { offset }) };
      withScales(context, statistics, (scales) => {
        const weight = [u8(codes), kinds4bit[attrs.type], scales, attrs.blockSize, k, 0] as const;
        check(context.native.gemm(m, k, n, g, n, 0, ...weight, f32(to), k, 1, beta, context.products));
      });
      made.x = to;
    }
    if (wants.bias) {
      made.bias = into("bias");
      columnSums(g, m, n, f32(made.bias));
    }
    return made;
  },
});

/** Runs `fn` over the scale of each row: absmax / 127. */
function withRowScales({ native, scratch }: CpuContext, absmax: CpuView, fn: (scales: Float32Array) => void): void {
  const rows = dim(absmax, 0);
  scratch(rows, (scales) => {
    native.scale_f32(1 / 127, f32(absmax), scales, rows);
    fn(scales);
  });
}

export const int8LinearKernel: Kernel<Int8LinearShape, CpuContext> = defineKernel(int8LinearOp, {
  accepts: ({ in: { weight: _, ...floats } }) => Object.values(floats).every(({ dtype }) => dtype === "f32"),
  forward(context, { in: { x, weight, absmax, bias }, out: { y } }) {
    const [n, k] = [dim(weight, 0), dim(weight, 1)];
    const m = sizeOf(x.shape) / k;
    const c = f32(y);
    if (bias) fillRows(c, f32(bias), m);
    withRowScales(context, absmax, (scales) => {
      const beta = bias ? 1 : 0;
      check(
        context.native.gemm(m, n, k, f32(x), k, 0, i8(weight), 3, scales, 0, k, 1, c, n, 1, beta, context.products),
      );
    });
  },
  vjp(context, { kept: { weight, absmax }, grad: { y }, wants, spec, onto, into }) {
    const [n, k] = [dim(spec.weight, 0), dim(spec.weight, 1)];
    const m = sizeOf(spec.x.shape) / k;
    const g = f32(y);
    const made: Partial<Int8LinearShape["in"]> = {};
    if (weight && absmax) {
      const { to, beta } = onto("x");
      withRowScales(context, absmax, (scales) => {
        const codes = [i8(weight), 3, scales, 0, k, 0] as const;
        check(context.native.gemm(m, k, n, g, n, 0, ...codes, f32(to), k, 1, beta, context.products));
      });
      made.x = to;
    }
    if (wants.bias) {
      made.bias = into("bias");
      columnSums(g, m, n, f32(made.bias));
    }
    return made;
  },
});

function check(code: number): void {
  if (code !== 0)
    throw new FtError("backend", "[cpu] no memory for a product over quantised codes", "use smaller layers");
}
