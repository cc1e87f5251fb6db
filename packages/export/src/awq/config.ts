import { type LlamaConfig, type Projection, projectionShape, projections } from "@ft/models";
import { FtError } from "@ft/tensor";
import { perWord } from "./packing.ts";

/** Group sizes that the kernels of vLLM and AutoAWQ take. */
export const awqGroupSizes = [128, 64, 32] as const;
/** One of them. */
/** A group size that can be written. */
export type AwqGroupSize = (typeof awqGroupSizes)[number];

/**
 * The group size to quantise a model with: the one asked for, or the largest that divides the inputs of every layer, and their outputs
 * as awqMisfit wants it where one does.
 * Errors: "config", naming the layer that does not fit and the group sizes that do.
 */
export function awqGroupSize(config: LlamaConfig, wanted?: number): AwqGroupSize {
  const shapes = projections.map(({ path }) => ({ path, shape: projectionShape(config, path) }));
  const narrow = shapes.find(({ shape: [out] }) => out % perWord !== 0);
  if (narrow)
    throw new FtError(
      "config",
      `[awq] ${narrow.path} has ${narrow.shape[0]} outputs`,
      `they are packed by ${perWord}: AWQ cannot hold this model, export to another format`,
    );
  const fitting = awqGroupSizes.filter((size) => shapes.every(({ shape: [, inputs] }) => inputs % size === 0));
  const usual = fitting.find((size) => awqMisfit(config, size) === undefined) ?? fitting[0];
  const chosen = awqGroupSizes.find((size) => size === (wanted ?? usual));
  if (chosen !== undefined && fitting.includes(chosen)) return chosen;
  if (wanted !== undefined && chosen === undefined)
    throw new FtError("config", `[awq] a group size of ${wanted}`, `use ${awqGroupSizes.join(", ")}`);
  const smallest = chosen ?? 32;
  const misfit = shapes.find(({ shape: [, inputs] }) => inputs % smallest !== 0);
  throw new FtError(
    "config",
    `[awq] ${misfit?.path} has ${misfit?.shape[1]} inputs, which are no whole groups of ${smallest}`,
    fitting.length > 0
      ? `use a group size of ${fitting.join(" or ")}`
      : `none of ${awqGroupSizes.join(", ")} divides the inputs of every layer: export to another format`,
  );
}

/**
 * What AutoAWQ's CUDA kernel, which vLLM has too, cannot compute: it takes outputs in multiples of 64 and of the group, of layers that
 * vLLM runs as one together. Undefined where it can compute every layer. Other loaders take any multiple of 8.
 */
export function awqMisfit(config: LlamaConfig, groupSize: number): string | undefined {
  const outputs = (...paths: readonly Projection[]): number =>
    paths.reduce((sum, path) => sum + projectionShape(config, path)[0], 0);
  const fused = {
    "q_proj, k_proj and v_proj": outputs("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    o_proj: outputs("self_attn.o_proj"),
    "gate_proj and up_proj": outputs("mlp.gate_proj", "mlp.up_proj"),
    down_proj: outputs("mlp.down_proj"),
  };
  const misfit = Object.entries(fused).find(([, count]) => count % 64 !== 0 || count % groupSize !== 0);
  return misfit && `${misfit[1]} outputs of ${misfit[0]}`;
}

/** `quantization_config` of a folder's config.json, as AutoAWQ writes it and transformers and vLLM read it. */
export function awqConfig(config: LlamaConfig, groupSize: number): Readonly<Record<string, unknown>> {
  return {
    quant_method: "awq",
    bits: 4,
    group_size: groupSize,
    zero_point: true,
    version: "gemm",
    modules_to_not_convert: config.tieWordEmbeddings ? null : ["lm_head"],
  };
}

/** What to do with a value that f16 cannot hold: everything that is not packed is stored so. */
export const beyondF16 = "AWQ folders hold f16: export to a format with bf16 or f32";
