import { type FloatDType, FtError, run, type Tensor, wideOf } from "@ft/tensor";
import { cast, castOp } from "@ft/tensor/ops";
import type { AnyOptimizer, Slots } from "../optimizer.ts";

/**
 * Trains parameters in bf16 or f16 through a copy in f32, the slot `master`: the optimizer moves the master, and the
 * parameter is its rounding, so that updates smaller than the parameter's spacing add up instead of being lost.
 * Parameters in f32 and f64 need none and pass through. Micikevicius et al. 2018, "Mixed precision training".
 * Put it outside a codec, `withMasterWeights(eightBit(adamw()))`: a master must not be encoded.
 */
export function withMasterWeights(inner: AnyOptimizer): AnyOptimizer {
  const { group, nonNegative } = inner;
  return {
    name: `masters(${inner.name})`,
    ...(group !== undefined && { group }),
    ...(nonNegative && { nonNegative }),
    keepsMasters: true,
    init(at) {
      if (wideOf(at.param.dtype) === at.param.dtype) return inner.init(at);
      const master = cast(at.param, "f32");
      const slots = inner.init({ ...at, param: master });
      if (slots.master === undefined) return { ...slots, master };
      throw new FtError("config", `${inner.name} has a slot "master" already`, "wrap an optimizer once");
    },
    scalars: (at) => inner.scalars(at),
    step(at) {
      const { master, rest } = split(at.slots);
      if (master === undefined) return inner.step(at);
      const grad = at.grad.dtype === "f32" ? at.grad : widen(at.grad);
      const next = inner.step({ ...at, param: master, grad, slots: rest });
      return { param: cast(next.param, at.param.dtype), slots: { ...next.slots, master: next.param } };
    },
    ...(inner.evaluated && {
      evaluated(at) {
        const { master, rest } = split(at.slots);
        const same = (): Tensor<any> => at.param.as(...at.param.axes);
        if (master === undefined) return inner.evaluated?.(at) ?? same();
        const value = inner.evaluated?.({ ...at, param: master, slots: rest });
        return value ? cast(value, at.param.dtype) : same();
      },
    }),
  };
}

function widen(x: Tensor): Tensor<"f32"> {
  return run(castOp, { in: { x }, attrs: { dtype: "f32" }, axes: { y: x.axes } }).y;
}

function split({ master, ...rest }: Slots): { readonly master: Tensor<FloatDType> | undefined; readonly rest: Slots } {
  return { master: master && isF32(master) ? master : undefined, rest };
}

function isF32(x: Tensor): x is Tensor<"f32"> {
  return x.dtype === "f32";
}
