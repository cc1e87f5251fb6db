import type { Axes, Backend, FloatDType, Parameter, Tensor } from "@ft/tensor";

/**
 * "Multiplies by a weight": the seam where storage formats and adapters meet, and nowhere else.
 * Any storage works under any adapter; fuse, merge, export and memory plans go through this interface.
 */
export interface Linear<I extends string = any, O extends string = any> {
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** bytes that the weights occupy on their backend */
  readonly bytes: number;
  /** x [..., in] -> [..., out], in the dtype of x whatever the weights are stored in */
  apply<D extends FloatDType, B extends Axes>(x: Tensor<D, readonly [...B, I]>): Tensor<D, readonly [...B, O]>;
  /** Float weights by their name within the layer: "weight", "bias". Empty for a format that has no float weights. */
  parameters(): ReadonlyMap<string, Parameter>;
  /** The dense weight [out, in] as a new tensor, adapters included. */
  materialize<D extends FloatDType>(dtype: D): Tensor<D, readonly [O, I]>;
  dispose(): void;
}

/** What adapters and quantisers work on: something made of named Linears that can be replaced one by one. */
export interface LinearHost {
  readonly backend: Backend;
  /** every float weight by its checkpoint name; tied weights once */
  parameters(): ReadonlyMap<string, Parameter>;
  /** by the checkpoint's module path, e.g. "model.layers.0.self_attn.q_proj" */
  linears(): ReadonlyMap<string, Linear>;
  /** Puts another Linear of the same size in its place. The old one is the caller's. */
  replaceLinear(path: string, linear: Linear): void;
}
