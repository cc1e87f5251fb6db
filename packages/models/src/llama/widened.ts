import type { Axes, FloatDType, Tensor, WideDType } from "@ft/tensor";
import { cast } from "@ft/tensor/ops";

/** Scores as they are given out: f32 where the model computes in 16 bits. The tensor itself where it is wide already. */
export function widened<A extends Axes>(x: Tensor<FloatDType, A>): Tensor<WideDType, A> {
  return isWide(x) ? x : cast(x, "f32");
}

function isWide<A extends Axes>(x: Tensor<FloatDType, A>): x is Tensor<WideDType, A> {
  return x.dtype === "f32" || x.dtype === "f64";
}
