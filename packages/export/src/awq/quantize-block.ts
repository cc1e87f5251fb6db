import type { Projection } from "@ft/models";
import { type Backend, f16ToF32, type Parameter, scalar, scope, type Tensor } from "@ft/tensor";
import { add, attention, scale, sumSquares } from "@ft/tensor/ops";
import type { WeightEntry } from "@ft/weights";
import { halves } from "../source/halves.ts";
import { blockHalves } from "./block-halves.ts";
import { type BlockWeights, type UploadedBlock, uploadBlock } from "./block-weights.ts";
import type { CalibrationBatch } from "./calibration.ts";
import { beyondF16 } from "./config.ts";
import { type AwqTensors, dequantizeAwq, quantizeAwq } from "./layout.ts";
import { perWord } from "./packing.ts";
import { type AwqScales, type BlockSearch, searchHalf } from "./search-half.ts";

/** What became of a block. */
export interface AwqBlock {
  /** its number, from 0 */
  readonly block: number;
  /** the scales of its layers; empty where none were searched for */
  readonly scales: readonly AwqScales[];
  /**
   * Σ (y − ŷ)² / Σ (y − x)²: how much of what the block adds to the residual stream x its quantised form misses, clipping included,
   * over the calibration rows that were searched; undefined without rows
   */
  readonly error: number | undefined;
}

/** Where and how blocks are quantised. */
export interface BlockSettings extends Pick<BlockSearch, "config" | "groupSize" | "scale" | "clip" | "signal"> {
  readonly backend: Backend;
  /** [headDim / 2], radians per token */
  readonly frequencies: Tensor<"f32", readonly ["frequency"]>;
}

/**
 * Searches and quantises the block `layer`, whose weights `host` are changed on the way, and takes the residual stream of the
 * batches past it, unquantised. Gives its tensors by Hugging Face's names.
 */
export async function quantizeBlock(
  layer: number,
  host: BlockWeights,
  batches: readonly CalibrationBatch[],
  settings: BlockSettings,
): Promise<{ readonly entries: readonly WeightEntry[]; readonly report: AwqBlock }> {
  const { backend, config, groupSize, frequencies } = settings;
  const uploaded = uploadBlock(backend, config, host);
  const searched = batches.filter((batch) => batch.searched);
  const before = searched.map(({ x }) => x.as("batch", "seq", "hidden"));
  try {
    const scales: AwqScales[] = [];
    if (batches.length > 0)
      for (const half of blockHalves(config, uploaded.block, frequencies))
        scales.push(...(await searchHalf({ ...settings, host, uploaded }, half, batches)));
    const entries = quantized(layer, host, uploaded, groupSize);
    const error = searched.length > 0 ? await blockError(uploaded, before, searched, settings) : undefined;
    return { entries, report: { block: layer, scales, error } };
  } finally {
    uploaded.block.dispose();
    for (const x of before) x.dispose();
  }
}

/** The tensors of a quantised block, whose values the backend has afterwards. */
function quantized(
  layer: number,
  { norms, linears }: BlockWeights,
  { block, weights }: UploadedBlock,
  groupSize: number,
): readonly WeightEntry[] {
  const entries: WeightEntry[] = [];
  const half = (name: string, values: Float32Array<ArrayBuffer>, held: Parameter | undefined): void => {
    const full = `model.layers.${layer}.${name}`;
    const data = halves(full, values, beyondF16);
    entries.push({ name: full, dtype: "f16", shape: [values.length], data: () => data });
    held?.write(f16ToF32(data));
  };
  half("input_layernorm.weight", norms.input_layernorm, block.inputNorm);
  for (const [path, { shape, weight, bias }] of linears) {
    const tensors = quantizeAwq(weight, shape, groupSize);
    entries.push(...awqEntries(`model.layers.${layer}.${path}`, tensors, shape, groupSize));
    weights.get(path)?.write(dequantizeAwq(tensors, shape, groupSize));
    if (bias) half(`${path}.bias`, bias, biasOf(block, path));
  }
  half("post_attention_layernorm.weight", norms.post_attention_layernorm, block.postAttentionNorm);
  return entries;
}

function biasOf(block: UploadedBlock["block"], path: Projection): Parameter | undefined {
  return block.linear(path).parameters().get("bias");
}

function awqEntries(
  path: string,
  { qweight, qzeros, scales }: AwqTensors,
  [out, inputs]: readonly [number, number],
  groupSize: number,
): readonly WeightEntry[] {
  const groups = inputs / groupSize;
  return [
    { name: `${path}.qweight`, dtype: "i32", shape: [inputs, out / perWord], data: () => qweight },
    { name: `${path}.qzeros`, dtype: "i32", shape: [groups, out / perWord], data: () => qzeros },
    { name: `${path}.scales`, dtype: "f16", shape: [groups, out], data: () => scales },
  ];
}

/** The error of the block as the backend holds it, from the residual stream before it and, in the batches, after it. */
async function blockError(
  { block }: UploadedBlock,
  before: readonly CalibrationBatch["x"][],
  batches: readonly CalibrationBatch[],
  { config, frequencies }: Pick<BlockSettings, "config" | "frequencies">,
): Promise<number> {
  let [error, added] = [0, 0];
  for (const [i, { x: after, positions, segments }] of batches.entries()) {
    const x = before[i]!;
    const sums = scope(() => {
      const less = scale(after, scalar(after.backend, "f32", -1));
      const y = block.forward(x, positions, frequencies, (q, k, v) =>
        attention(q, k, v, segments, { scale: config.headDim ** -0.5 }),
      );
      return { error: sumSquares(add(y, less)), added: sumSquares(add(x, less)) };
    });
    error += (await sums.error.read())[0] ?? Number.NaN;
    added += (await sums.added.read())[0] ?? Number.NaN;
    sums.error.dispose();
    sums.added.dispose();
  }
  return error / added;
}
