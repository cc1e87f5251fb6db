import type { Linear } from "@ft/nn";
import { type Axes, type FloatDType, FtError, type Parameter, type Tensor } from "@ft/tensor";

/** A layer whose weight is loaded when its turn comes: what adapters are put over without loading the model. */
export class LazyLinear implements Linear<"in", "out"> {
  readonly outFeatures: number;
  readonly inFeatures: number;
  readonly #bias: Parameter<FloatDType, readonly ["out"]> | undefined;
  readonly #load: () => Promise<Linear>;
  #loaded: Linear | undefined;

  /** @param load the layer without its bias, which stays loaded */
  constructor(
    [outFeatures, inFeatures]: readonly [number, number],
    bias: Parameter<FloatDType, readonly ["out"]> | undefined,
    load: () => Promise<Linear>,
  ) {
    this.outFeatures = outFeatures;
    this.inFeatures = inFeatures;
    this.#bias = bias;
    this.#load = load;
  }

  /** Holds the weight while `use` runs. */
  async whileLoaded<T>(use: () => Promise<T>): Promise<T> {
    this.#loaded ??= await this.#load();
    try {
      return await use();
    } finally {
      this.#loaded.dispose();
      this.#loaded = undefined;
    }
  }

  get bytes(): number {
    return this.#loaded?.bytes ?? 0;
  }
  apply<D extends FloatDType, B extends Axes>(x: Tensor<D, readonly [...B, "in"]>): Tensor<D, readonly [...B, "out"]> {
    return this.#weight().apply(x);
  }
  parameters(): ReadonlyMap<string, Parameter> {
    return new Map(this.#bias ? [["bias", this.#bias]] : []);
  }
  materialize<D extends FloatDType>(dtype: D): Tensor<D, readonly ["out", "in"]> {
    return this.#weight().materialize(dtype);
  }
  dispose(): void {
    this.#loaded?.dispose();
    this.#bias?.dispose();
  }

  #weight(): Linear<"in", "out"> {
    if (this.#loaded) return this.#loaded;
    throw new FtError("missing", "[export] a layer is used that is not loaded", "use it within whileLoaded");
  }
}
