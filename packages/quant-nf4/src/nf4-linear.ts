import type { Linear } from "@ft/nn";
import type { Axes, FloatDType, Parameter, Tensor } from "@ft/tensor";
import { dequantize4bit, dequantize8bit, nf4Linear, type Weight4bit } from "@ft/tensor/ops";
import type { HeldDType } from "./quantize/host-weight.ts";

/** What a file says of a 4-bit weight beside its tensors. */
export interface Facts4bit {
  /** dtype of the weight before it was quantised */
  readonly from: HeldDType;
  /** the offset of a nested absmax, on the host */
  readonly offset?: number;
}

/**
 * A frozen weight [out, in] in NF4 or FP4, with or without double quantisation, and a float bias [out] that may train.
 * Owns both. QLoRA, Dettmers et al. 2023.
 */
export class Nf4Linear<I extends string = "in", O extends string = "out"> implements Linear<I, O> {
  readonly weight: Weight4bit<O, I>;
  readonly facts: Facts4bit;
  readonly bias: Parameter<FloatDType, readonly [NoInfer<O>]> | undefined;

  constructor(weight: Weight4bit<O, I>, facts: Facts4bit, bias?: Parameter<FloatDType, readonly [NoInfer<O>]>) {
    this.weight = weight;
    this.facts = facts;
    this.bias = bias;
  }

  get inFeatures(): number {
    return this.weight.shape[1];
  }
  get outFeatures(): number {
    return this.weight.shape[0];
  }
  get bytes(): number {
    return this.#held().reduce((sum, x) => sum + x.backend.bytes(x), 0);
  }

  /** Decodes the weight while it multiplies; nothing of its dense size is kept for the backward. */
  apply<D extends FloatDType, B extends Axes>(x: Tensor<D, readonly [...B, I]>): Tensor<D, readonly [...B, O]> {
    return nf4Linear(x, this.weight, this.bias);
  }
  /** The bias alone, where there is one. */
  parameters(): ReadonlyMap<string, Parameter> {
    return new Map(this.bias ? [["bias", this.bias]] : []);
  }
  /** The decoded weight, each value rounded once to `dtype`: the same bits as bitsandbytes' dequantize_4bit. */
  materialize<D extends FloatDType>(dtype: D): Tensor<D, readonly [O, I]> {
    const { type, blockSize, shape, axes, codes } = this.weight;
    const absmax = this.absmax();
    const dense = dequantize4bit(codes, absmax, { type, blockSize, shape, axes, dtype });
    absmax.dispose();
    return dense;
  }
  /** The largest magnitude of each block as f32, decoded where it is nested. A new tensor. */
  absmax(): Tensor<"f32", readonly ["block"]> {
    const { absmax, nestedAbsmax, offset } = this.weight;
    if (nestedAbsmax === undefined) return absmax.as("block");
    return dequantize8bit(absmax, nestedAbsmax, { map: "dynamic", offset });
  }
  dispose(): void {
    for (const held of this.#held()) held.dispose();
  }

  #held(): Tensor[] {
    const { codes, absmax, nestedAbsmax, offset } = this.weight;
    return [codes, absmax, nestedAbsmax, offset, this.bias].filter((x) => x !== undefined);
  }
}
