import type { Linear } from "@ft/nn";
import type { FloatDType, Parameter, Tensor, WideDType } from "@ft/tensor";
import { add, mergeLast, rmsNorm, rope, splitLast, swiglu } from "@ft/tensor/ops";
import type { LlamaConfig } from "../config/llama-config.ts";
import { type Projection, projections } from "./names.ts";

/** The residual stream, [batch, seq, hidden]. */
export type Hidden = Tensor<FloatDType, readonly ["batch", "seq", "hidden"]>;
export type Query = Tensor<FloatDType, readonly ["batch", "seq", "head", "headDim"]>;
export type KeyValue = Tensor<FloatDType, readonly ["batch", "seq", "kvHead", "headDim"]>;
export type Positions = Tensor<"i32", readonly ["batch", "seq"]>;
export type Frequencies = Tensor<WideDType, readonly ["frequency"]>;

/** How a block's queries meet keys and values: over the batch itself in training, over a cache in generation. */
export type Attend = (q: Query, k: KeyValue, v: KeyValue) => Query;

export interface BlockWeights {
  readonly inputNorm: Parameter<FloatDType, readonly ["hidden"]>;
  readonly postAttentionNorm: Parameter<FloatDType, readonly ["hidden"]>;
  readonly linears: Readonly<Record<Projection, Linear>>;
}

/** One pre-norm transformer block: attention and a gated feed-forward, each added to the residual stream. */
export class LlamaBlock {
  readonly inputNorm: Parameter<FloatDType, readonly ["hidden"]>;
  readonly postAttentionNorm: Parameter<FloatDType, readonly ["hidden"]>;
  readonly #linears: Record<Projection, Linear>;
  readonly #config: LlamaConfig;

  constructor(config: LlamaConfig, weights: BlockWeights) {
    this.#config = config;
    this.inputNorm = weights.inputNorm;
    this.postAttentionNorm = weights.postAttentionNorm;
    this.#linears = { ...weights.linears };
  }

  linear(path: Projection): Linear {
    return this.#linears[path];
  }
  replace(path: Projection, linear: Linear): void {
    this.#linears[path] = linear;
  }

  /** x, the residual stream [batch, seq, hidden], after this block. */
  forward(x: Hidden, positions: Positions, frequencies: Frequencies, attend: Attend): Hidden {
    const { rmsNormEps } = this.#config;
    const h = rmsNorm(x, this.inputNorm, rmsNormEps);
    const mixed = this.#project("self_attn.o_proj", this.attended(h, positions, frequencies, attend));
    const y = add(x, mixed.as("batch", "seq", "hidden"));
    const n = rmsNorm(y, this.postAttentionNorm, rmsNormEps);
    return add(y, this.#project("mlp.down_proj", this.gated(n)).as("batch", "seq", "hidden"));
  }

  /** What o_proj is given for the normed h: the heads side by side, [batch, seq, heads · headDim]. */
  attended(
    h: Hidden,
    positions: Positions,
    frequencies: Frequencies,
    attend: Attend,
  ): Tensor<FloatDType, readonly ["batch", "seq", "attention"]> {
    const { headDim } = this.#config;
    const q = rope(
      splitLast(this.#project("self_attn.q_proj", h), ["head", "headDim"], headDim),
      positions,
      frequencies,
    );
    const k = rope(
      splitLast(this.#project("self_attn.k_proj", h), ["kvHead", "headDim"], headDim),
      positions,
      frequencies,
    );
    const v = splitLast(this.#project("self_attn.v_proj", h), ["kvHead", "headDim"], headDim);
    return mergeLast(attend(q, k, v), "attention");
  }

  /** What down_proj is given for the normed n: the gated units, [batch, seq, intermediate]. */
  gated(n: Hidden): Tensor<FloatDType, readonly ["batch", "seq", "out"]> {
    return swiglu(this.#project("mlp.gate_proj", n), this.#project("mlp.up_proj", n));
  }

  #project(
    path: Projection,
    x: Tensor<FloatDType, readonly ["batch", "seq", string]>,
  ): Tensor<FloatDType, readonly ["batch", "seq", "out"]> {
    return this.#linears[path].apply(x).as("batch", "seq", "out");
  }

  dispose(): void {
    this.inputNorm.dispose();
    this.postAttentionNorm.dispose();
    for (const { path } of projections) this.#linears[path].dispose();
  }
}
