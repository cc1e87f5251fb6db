import type { Axes, FloatDType, Parameter, Tensor } from "@ft/tensor";
import { cast, linear } from "@ft/tensor/ops";
import type { Linear } from "./linear.ts";

/** A weight [out, in] held as floats, with or without a bias [out]. Owns both. */
export class DenseLinear<I extends string, O extends string> implements Linear<I, O> {
  readonly weight: Parameter<FloatDType, readonly [O, I]>;
  readonly bias: Parameter<FloatDType, readonly [NoInfer<O>]> | undefined;

  constructor(weight: Parameter<FloatDType, readonly [O, I]>, bias?: Parameter<FloatDType, readonly [NoInfer<O>]>) {
    this.weight = weight;
    this.bias = bias;
  }

  get inFeatures(): number {
    return this.weight.shape[1] ?? 0;
  }
  get outFeatures(): number {
    return this.weight.shape[0] ?? 0;
  }
  get bytes(): number {
    const held = this.bias ? [this.weight, this.bias] : [this.weight];
    return held.reduce((sum, x) => sum + x.backend.bytes(x), 0);
  }

  apply<D extends FloatDType, B extends Axes>(x: Tensor<D, readonly [...B, I]>): Tensor<D, readonly [...B, O]> {
    return linear(x, this.weight, this.bias);
  }
  parameters(): ReadonlyMap<string, Parameter> {
    const named = new Map<string, Parameter>([["weight", this.weight]]);
    if (this.bias) named.set("bias", this.bias);
    return named;
  }
  materialize<D extends FloatDType>(dtype: D): Tensor<D, readonly [O, I]> {
    return cast(this.weight, dtype);
  }
  dispose(): void {
    this.weight.dispose();
    this.bias?.dispose();
  }
}
