import type { Linear } from "@ft/nn";
import { type Axes, type FloatDType, type Parameter, scalar, scope, type Tensor, type WideDType } from "@ft/tensor";
import { add, cast, type LoraAttrs, linear, loraLinear, matmul, scale } from "@ft/tensor/ops";

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
  /** base and update in one weight [out, in], which stands for both while it is there */
  #merged: Tensor<WideDType, readonly [O, I]> | undefined;

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
    const { backend } = this.a;
    const merged = this.#merged ? backend.bytes(this.#merged) : 0;
    return this.base.bytes + backend.bytes(this.a) + backend.bytes(this.b) + merged;
  }

  apply<D extends FloatDType, B extends Axes>(x: Tensor<D, readonly [...B, I]>): Tensor<D, readonly [...B, O]> {
    if (this.#merged) return linear(x, this.#merged, this.base.parameters().get("bias"));
    const { training, step } = this.#mode;
    const attrs = training ? this.attrs : { ...this.attrs, rate: 0 };
    return loraLinear(this.base.apply(x), x, this.a, this.b, step, attrs);
  }

  /** The base's weights; A and B are the LoraAdapter's to name. */
  parameters(): ReadonlyMap<string, Parameter> {
    return this.base.parameters();
  }

  materialize<D extends FloatDType>(dtype: D): Tensor<D, readonly [O, I]> {
    if (this.#merged) return cast(this.#merged, dtype);
    return scope(() => {
      const { backend, dtype: wide } = this.a;
      const by: Tensor<WideDType, readonly []> =
        wide === "f64" ? scalar(backend, wide, this.attrs.scale) : scalar(backend, wide, this.attrs.scale);
      return cast(add(this.base.materialize(wide), scale(matmul(this.b, this.a), by)), dtype);
    });
  }

  /** @internal Multiplies by this weight from now on, instead of base and adapter; by those again without one. Owns it. */
  useMerged(weight: Tensor<WideDType, readonly [O, I]> | undefined): void {
    this.#merged?.dispose();
    this.#merged = weight;
  }

  /** @internal Disposes the adapter and keeps the base. */
  detach(): void {
    this.useMerged(undefined);
    this.a.dispose();
    this.b.dispose();
  }

  /** Disposes the adapter and its base. */
  dispose(): void {
    this.detach();
    this.base.dispose();
  }
}
