import type { View } from "../../backend.ts";
import { dim, type FloatDType, showShape } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of matmul, as kernels and references see them. */
export type MatMul = {
  in: { a: View; b: View };
  out: { y: View };
  attrs: {};
  keeps: { a?: View; b?: View };
  saved: {};
};

/** dA = g·Bᵀ;  dB = Aᵀ·g */
export const matmulOp: Op<MatMul> = defineOp<MatMul>({
  name: "matmul",
  keeps: (wants) => ({ a: wants.b, b: wants.a }),
  infer({ in: { a, b } }) {
    if (b.shape.length !== 2 || dim(a, -1) !== dim(b, 0))
      throw new FtError(
        "shape",
        `[matmul] ${showShape(a.shape)} · ${showShape(b.shape)}`,
        "the last axis of a must be the first of a 2-d b",
      );
    return { out: { y: { dtype: a.dtype, shape: [...a.shape.slice(0, -1), dim(b, 1)] } }, saved: {} };
  },
  forward(p, { in: { a, b } }) {
    return { out: { y: p.reshape(p.matmul(p.rows(a), b), [...a.shape.slice(0, -1), dim(b, 1)]) }, saved: {} };
  },
  vjp: (p, { kept: { a, b }, grad: { y }, spec }) => ({
    ...(b && { a: p.reshape(p.matmul(p.rows(y), b, { tb: true }), spec.a.shape) }),
    ...(a && { b: p.matmul(p.rows(a), p.rows(y), { ta: true }) }),
  }),
});

/** a[..., k] · b[k, n]. Contracts by name: the last axis of `a` is called as the first of `b`. */
export function matmul<D extends FloatDType, B extends Axes, K extends string, N extends string>(
  a: Tensor<D, readonly [...B, K]>,
  b: Tensor<NoInfer<D>, readonly [NoInfer<K>, N]>,
): Tensor<D, readonly [...B, N]> {
  return run(matmulOp, { in: { a, b }, attrs: {}, axes: { y: [...a.axes.slice(0, -1), ...b.axes.slice(1)] } }).y;
}
