import type { View } from "../../backend.ts";
import { isFloat, type Spec, sameShape, showShape, sizeOf, wideOf } from "../../dtype.ts";
import { FtError } from "../../error.ts";
import { defineOp, type Op } from "../../op.ts";
import { checkStep } from "../adamw/check-step.ts";
import { type OrderedAdamAttrs, orderedStep } from "../adamw/ordered.ts";
import { decode8bit } from "../dequantize8bit/dequantize8bit.ts";
import { checkBlockSize } from "../quantize4bit/blocks.ts";
import { type Quantize8bit, quantize8bitOp } from "../quantize8bit/quantize8bit.ts";

/** Constants of adam8bit. */
export interface Adam8bitAttrs extends OrderedAdamAttrs {
  /** elements that share an absmax: 64, 128, … 4096 */
  readonly blockSize: number;
}

/** Inputs, outputs and attributes of adam8bit, as kernels and references see them. */
export type Adam8bitShape = {
  in: {
    param: View;
    grad: View;
    m: View;
    mAbsmax: View;
    v: View;
    vAbsmax: View;
    lr: View;
    correction1: View;
    correction2: View;
  };
  out: { param: View; m: View; mAbsmax: View; v: View; vAbsmax: View };
  attrs: Adam8bitAttrs;
  keeps: {};
  saved: {};
};

function checkCodes(
  named: { readonly m: Spec; readonly mAbsmax: Spec; readonly v: Spec; readonly vAbsmax: Spec },
  blockSize: number,
): void {
  const { m, mAbsmax, v, vAbsmax } = named;
  checkBlockSize("adam8bit", blockSize, 64);
  const blocks = Math.ceil(sizeOf(m.shape) / blockSize);
  const codes = m.dtype === "u8" && v.dtype === "u8";
  if (codes && [mAbsmax, vAbsmax].every((x) => isFloat(x.dtype) && sameShape(x.shape, [blocks]))) return;
  const shown = Object.entries(named).map(([name, { dtype, shape }]) => `${name} ${dtype} ${showShape(shape)}`);
  throw new FtError("shape", `[adam8bit] ${shown.join(", ")}`, `codes are u8, their absmax is f32 [${blocks}]`);
}

/**
 * One step of adam or adamw over moments in 8-bit codes: dequantize8bit, the step in f32 (f64 for f64 parameters), and
 * quantize8bit, to the bit. m is coded by the signed map with sameSign, v by the unsigned one. A backend that has it in one
 * pass moves no moment in f32. Consumes param and the four slots when donated.
 */
export const adam8bitOp: Op<Adam8bitShape> = defineOp<Adam8bitShape>({
  name: "adam8bit",
  keeps: () => ({}),
  inPlace: { param: "param", m: "m", mAbsmax: "mAbsmax", v: "v", vAbsmax: "vAbsmax" },
  infer({ in: { param, grad, m, mAbsmax, v, vAbsmax }, attrs: { blockSize } }) {
    checkStep("adam8bit", { param, grad, m, v });
    checkCodes({ m, mAbsmax, v, vAbsmax }, blockSize);
    const f32 = ({ shape }: Spec): Spec => ({ dtype: "f32", shape });
    return { out: { param, m, mAbsmax: f32(mAbsmax), v, vAbsmax: f32(vAbsmax) }, saved: {} };
  },
  forward(p, { in: { m, mAbsmax, v, vAbsmax, ...others }, attrs }) {
    const { blockSize } = attrs;
    const wide = wideOf(others.param.dtype);
    const decoded = (codes: View, absmax: View, map: "dynamic" | "udynamic"): View =>
      p.cast(decode8bit(p, { codes, absmax }, { map, blockSize }), wide);
    const inputs = { ...others, m: decoded(m, mAbsmax, "dynamic"), v: decoded(v, vAbsmax, "udynamic") };
    const next = orderedStep(p, inputs, attrs);
    const encoded = (x: View, map: "dynamic" | "udynamic"): Quantize8bit["out"] =>
      quantize8bitOp.forward(p, {
        in: { x },
        attrs: { map, blockSize, sameSign: map === "dynamic" },
        wants: { x: false },
      }).out;
    const [first, second] = [encoded(next.m, "dynamic"), encoded(next.v, "udynamic")];
    const out = { m: first.codes, mAbsmax: first.absmax, v: second.codes, vAbsmax: second.absmax };
    return { out: { param: next.param, ...out }, saved: {} };
  },
});
