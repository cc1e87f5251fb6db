import type { Hidden, LlamaBlock, LlamaConfig, Projection } from "@ft/models";
import type { FloatDType, Tensor } from "@ft/tensor";
import { attention } from "@ft/tensor/ops";
import type { Norm } from "./block-weights.ts";
import type { CalibrationBatch } from "./calibration.ts";

/** What a linear layer is given, [batch, seq, in]. */
export type Inputs = Tensor<FloatDType, readonly ["batch", "seq", string]>;

/** Attention or feed-forward: a norm, layers that share the normed input, and the layer whose output joins the residual stream. */
export interface Half {
  readonly norm: Norm;
  readonly first: readonly Projection[];
  /** the one of `first` whose outputs pass to the inputs of `last`, each to the channel of its number */
  readonly feeds: Projection;
  readonly last: Projection;
  /** those of `first` that may be clipped */
  readonly clipped: readonly Projection[];
  /** the inputs of `last` for the normed h */
  readonly inner: (h: Hidden, batch: CalibrationBatch) => Inputs;
}

/** What a block adds to the residual stream is made by these two, in this order. */
export function blockHalves(
  { headDim }: LlamaConfig,
  block: LlamaBlock,
  frequencies: Tensor<"f32", readonly ["frequency"]>,
): readonly Half[] {
  return [
    {
      norm: "input_layernorm",
      first: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
      feeds: "self_attn.v_proj",
      last: "self_attn.o_proj",
      // only their product counts, which the error of neither tells: AutoAWQ does not clip q and k
      clipped: ["self_attn.v_proj"],
      inner: (h, { positions, segments }) =>
        block.attended(h, positions, frequencies, (q, k, v) =>
          attention(q, k, v, segments, { scale: headDim ** -0.5 }),
        ),
    },
    {
      norm: "post_attention_layernorm",
      first: ["mlp.gate_proj", "mlp.up_proj"],
      feeds: "mlp.up_proj",
      last: "mlp.down_proj",
      clipped: ["mlp.gate_proj", "mlp.up_proj"],
      inner: (n) => block.gated(n),
    },
  ];
}
