import type { Linear } from "@ft/nn";
import { type Axes, type FloatDType, type Parameter, scalar, scope, type Tensor, type WideDType } from "@ft/tensor";
import { add, cast, type LoraAttrs, loraLinear, matmul, scale } from "@ft/tensor/ops";

/** What all adapters of a model share: whether they drop inputs, and the step their masks are drawn for. */
export interface LoraMode {
  training: boolean;
  /** counts micro-batches; one tensor for good, whose value is written over, so that recorded work finds it */
  readonly step: Tensor<"i32", readonly []>;
}

/** A low-rank adapter over any Linear (Hu et al. 2021): base(x) + scale · drop(x)·Aᵀ·Bᵀ. A is [rank, in], B [out, rank]. */
export class LoraLinear<I extends string, O extends string> implements Linear<I, O> {
  readonly base: Linear<I, O>;
  readonly a: Parameter<WideDType, readonly ["rank", I]>;
  readonly b: Parameter<WideDType, readonly [O, "rank"]>;
  readonly attrs: LoraAttrs;
  readonly #mode: LoraMode;

  constructor(
    base: Linear<I, O>,
    a: Parameter<WideDType, readonly ["rank", NoInfer<I>]>,
    b: Parameter<WideDType, readonly [NoInfer<O>, "rank"]>,
    attrs: LoraAttrs,
    mode: LoraMode,
  ) {
    this.base = base;
    this.a = a;
    this.b = b;
    this.attrs = attrs;
    this.#mode = mode;
  }

  get inFeatures(): number {
    return this.base.inFeatures;
  }
  get outFeatures(): number {
    return this.base.outFeatures;
  }
  get bytes(): number {
    return this.base.bytes + this.a.backend.bytes(this.a) + this.b.backend.bytes(this.b);
  }

  apply<D extends FloatDType, B extends Axes>(x: Tensor<D, readonly [...B, I]>): Tensor<D, readonly [...B, O]> {
    const { training, step } = this.#mode;
    const attrs = training ? this.attrs : { ...this.attrs, rate: 0 };
    return loraLinear(this.base.apply(x), x, this.a, this.b, step, attrs);
  }

  /** The base's weights; A and B are the LoraAdapter's to name. */
  parameters(): ReadonlyMap<string, Parameter> {
    return this.base.parameters();
  }

  materialize<D extends FloatDType>(dtype: D): Tensor<D, readonly [O, I]> {
    return scope(() => {
      const { backend, dtype: wide } = this.a;
      const by: Tensor<WideDType, readonly []> =
        wide === "f64" ? scalar(backend, wide, this.attrs.scale) : scalar(backend, wide, this.attrs.scale);
      return cast(add(this.base.materialize(wide), scale(matmul(this.b, this.a), by)), dtype);
    });
  }

  /** Disposes the adapter and its base. */
  dispose(): void {
    this.a.dispose();
    this.b.dispose();
    this.base.dispose();
  }
}
