import type { View } from "../../backend.ts";
import { type FloatDType, sameShape, showShape, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { run } from "../../run.ts";
import type { Axes, Tensor } from "../../tensor.ts";

/** Inputs, outputs and attributes of swiglu, as kernels and references see them. */
export type SwiGlu = {
  in: { gate: View; up: View };
  out: { y: View };
  attrs: {};
  keeps: { gate: View; up: View };
  saved: {};
};

/** y = silu(gate)·up.  With σ = sigmoid(gate):  dUp = g·gate·σ;  dGate = g·up·σ·(1 + gate·(1 − σ)) */
export const swigluOp: Op<SwiGlu> = defineOp<SwiGlu>({
  name: "swiglu",
  keeps: () => ({ gate: true, up: true }),
  remake: true,
  infer({ in: { gate, up } }) {
    if (!sameShape(gate.shape, up.shape))
      throw new FtError(
        "shape",
        `[swiglu] gate ${showShape(gate.shape)}, up ${showShape(up.shape)}`,
        "both must have the same shape",
      );
    return { out: { y: gate }, saved: {} };
  },
  forward(p, { in: { gate, up } }) {
    const wide = wideOf(gate.dtype);
    const x = p.cast(gate, wide);
    return { out: { y: p.cast(p.mul(p.mul(x, p.sigmoid(x)), p.cast(up, wide)), gate.dtype) }, saved: {} };
  },
  vjp(p, { kept: { gate, up }, grad: { y }, wants }) {
    const wide = wideOf(gate.dtype);
    const x = p.cast(gate, wide);
    const g = p.cast(y, wide);
    const s = p.sigmoid(x);
    const slope = p.mul(s, p.add(p.mul(x, p.sub(p.fill(s, 1), s)), 1));
    return {
      ...(wants.gate && { gate: p.cast(p.mul(p.mul(g, p.cast(up, wide)), slope), gate.dtype) }),
      ...(wants.up && { up: p.cast(p.mul(g, p.mul(x, s)), up.dtype) }),
    };
  },
});

/** silu(gate) · up, the gated unit of Llama's feed-forward (Shazeer 2020). */
export function swiglu<D extends FloatDType, A extends Axes>(
  gate: Tensor<D, A>,
  up: Tensor<NoInfer<D>, NoInfer<A>>,
): Tensor<D, A> {
  return run(swigluOp, { in: { gate, up }, attrs: {}, axes: { y: gate.axes } }).y;
}
