import { hasBias, LlamaBlock, type LlamaConfig, type Projection, projectionShape, projections } from "@ft/models";
import { DenseLinear } from "@ft/nn";
import { type Backend, FtError, type Parameter, parameter } from "@ft/tensor";
import type { ExportSource } from "../source/export-source.ts";

/** A linear layer on the host. */
export interface HostLinear {
  /** [out, in] */
  readonly shape: readonly [number, number];
  readonly weight: Float32Array<ArrayBuffer>;
  /** [out] */
  readonly bias: Float32Array<ArrayBuffer> | undefined;
}

export type Norm = "input_layernorm" | "post_attention_layernorm";

/** A block's weights on the host, which the search folds scales into. */
export interface BlockWeights {
  /** [hidden] each */
  readonly norms: Readonly<Record<Norm, Float32Array<ArrayBuffer>>>;
  readonly linears: ReadonlyMap<Projection, HostLinear>;
}

/** Reads the weights of one block. */
export async function readBlock(source: ExportSource, layer: number): Promise<BlockWeights> {
  const { config } = source;
  const at = `model.layers.${layer}`;
  const norm = (name: Norm): Promise<Float32Array<ArrayBuffer>> =>
    source.readWindow(`${at}.${name}.weight`, 0, config.hiddenSize);
  const linears = new Map<Projection, HostLinear>();
  for (const { path } of projections) {
    const shape = projectionShape(config, path);
    const weight = await source.readWindow(`${at}.${path}.weight`, 0, shape[0] * shape[1]);
    const bias = hasBias(config, path) ? await source.readWindow(`${at}.${path}.bias`, 0, shape[0]) : undefined;
    linears.set(path, { shape, weight, bias });
  }
  return {
    norms: {
      input_layernorm: await norm("input_layernorm"),
      post_attention_layernorm: await norm("post_attention_layernorm"),
    },
    linears,
  };
}

/** The linear layer of a block. */
export function linearOf({ linears }: BlockWeights, path: Projection): HostLinear {
  const found = linears.get(path);
  if (found) return found;
  throw new FtError("missing", `[awq] the block has no ${path}`, "a block of Llama has seven linear layers");
}

type Weight = Parameter<"f32", readonly ["out", "in"]>;

/** A block on a backend, and its weights to write other values into. */
export interface UploadedBlock {
  readonly block: LlamaBlock;
  readonly weights: ReadonlyMap<Projection, Weight>;
}

/** Copies a block to a backend, in f32. */
export function uploadBlock(backend: Backend, config: LlamaConfig, host: BlockWeights): UploadedBlock {
  const vector = <const N extends string>(name: N, data: Float32Array<ArrayBuffer>): Parameter<"f32", readonly [N]> =>
    parameter(backend, "f32", [name], [data.length], data);
  const weights = new Map<Projection, Weight>();
  const linear = (path: Projection): DenseLinear<"in", "out"> => {
    const { shape, weight, bias } = linearOf(host, path);
    const held = parameter(backend, "f32", ["out", "in"], shape, weight);
    weights.set(path, held);
    return new DenseLinear(held, bias && vector("out", bias));
  };
  const block = new LlamaBlock(config, {
    inputNorm: vector("hidden", host.norms.input_layernorm),
    postAttentionNorm: vector("hidden", host.norms.post_attention_layernorm),
    linears: {
      "self_attn.q_proj": linear("self_attn.q_proj"),
      "self_attn.k_proj": linear("self_attn.k_proj"),
      "self_attn.v_proj": linear("self_attn.v_proj"),
      "self_attn.o_proj": linear("self_attn.o_proj"),
      "mlp.gate_proj": linear("mlp.gate_proj"),
      "mlp.up_proj": linear("mlp.up_proj"),
      "mlp.down_proj": linear("mlp.down_proj"),
    },
  });
  return { block, weights };
}
