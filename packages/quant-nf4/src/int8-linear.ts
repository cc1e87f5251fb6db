import type { Linear } from "@ft/nn";
import type { Axes, FloatDType, Parameter, Tensor } from "@ft/tensor";
import { int8Linear } from "@ft/tensor/ops";
import { dequantizeInt8 } from "./dequantize-int8.ts";

/** A frozen weight [out, in] of 8-bit codes: code·absmax/127, with one absmax for each row. */
export interface WeightInt8<O extends string, I extends string> {
  readonly codes: Tensor<"i8", readonly [O, I]>;
  readonly absmax: Tensor<"f32", readonly [NoInfer<O>]>;
}

/** A frozen int8 weight [out, in] and a float bias [out] that may train. Owns both. Activations stay floats. */
export class Int8Linear<I extends string = "in", O extends string = "out"> implements Linear<I, O> {
  readonly weight: WeightInt8<O, I>;
  readonly bias: Parameter<FloatDType, readonly [NoInfer<O>]> | undefined;

  constructor(weight: WeightInt8<O, I>, bias?: Parameter<FloatDType, readonly [NoInfer<O>]>) {
    this.weight = weight;
    this.bias = bias;
  }

  get inFeatures(): number {
    return this.weight.codes.shape[1] ?? 0;
  }
  get outFeatures(): number {
    return this.weight.codes.shape[0] ?? 0;
  }
  get bytes(): number {
    return this.#held().reduce((sum, x) => sum + x.backend.bytes(x), 0);
  }

  apply<D extends FloatDType, B extends Axes>(x: Tensor<D, readonly [...B, I]>): Tensor<D, readonly [...B, O]> {
    return int8Linear(x, this.weight.codes, this.weight.absmax, this.bias);
  }
  /** The bias alone, where there is one. */
  parameters(): ReadonlyMap<string, Parameter> {
    return new Map(this.bias ? [["bias", this.bias]] : []);
  }
  /** The decoded weight, rounded once to `dtype`: in f32 the same bits as bitsandbytes' int8_vectorwise_dequant. */
  materialize<D extends FloatDType>(dtype: D): Tensor<D, readonly [O, I]> {
    return dequantizeInt8(this.weight.codes, this.weight.absmax, dtype);
  }
  dispose(): void {
    for (const held of this.#held()) held.dispose();
  }

  #held(): Tensor[] {
    const { codes, absmax } = this.weight;
    return this.bias ? [codes, absmax, this.bias] : [codes, absmax];
  }
}
