import { run, wideOf } from "@ft/tensor";
import { adam8bitOp } from "@ft/tensor/ops";
import type { EightBitOptions } from "./eight-bit.ts";

/**
 * The step of 8-bit Adam or AdamW as one op, where the backend has a kernel for it; elsewhere decoding, step and encoding
 * stay apart, each with the kernel that the backend has. Both give the same bits. `settings` are complete.
 */
export function fusedAdam(
  of: "adam" | "adamw",
  settings: { readonly [key: string]: unknown },
  textbook: boolean,
): NonNullable<EightBitOptions["fused"]> {
  const constants = { beta1: Number(settings.beta1), beta2: Number(settings.beta2), eps: Number(settings.eps) };
  const order = textbook ? of : "bitsandbytes";
  return ({ role, param, grad, slots, scalars, blockSize }) => {
    const { m, v, "m.absmax": mAbsmax, "v.absmax": vAbsmax } = slots;
    const { lr, correction1, correction2 } = scalars;
    if (!param.backend.kernels.has(adam8bitOp.id) || wideOf(param.dtype) !== "f32") return undefined;
    if (!m || !v || !mAbsmax || !vAbsmax || !lr || !correction1 || !correction2) return undefined;
    const weightDecay = role === "vector" && settings.decayVectors === false ? 0 : Number(settings.weightDecay);
    const next = run(adam8bitOp, {
      in: { param, grad, m, mAbsmax, v, vAbsmax, lr, correction1, correction2 },
      attrs: { ...constants, weightDecay, order, blockSize },
      axes: { param: param.axes, m: m.axes, mAbsmax: mAbsmax.axes, v: v.axes, vAbsmax: vAbsmax.axes },
      donate: true,
    });
    const moments = { m: next.m, "m.absmax": next.mAbsmax, v: next.v, "v.absmax": next.vAbsmax };
    return { param: next.param, slots: moments };
  };
}
