import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { writeCompanions } from "@ft/models";
import { inverseFrequencies } from "@ft/nn";
import { type Backend, type DataOf, type DType, tensor } from "@ft/tensor";
import {
  commitFolder,
  openSafetensors,
  type WeightEntry,
  writeSafetensors,
  writeShardedSafetensors,
} from "@ft/weights";
import type { ExportSource, SourceTensor } from "../source/export-source.ts";
import { halves } from "../source/halves.ts";
import { windows } from "../source/windows.ts";
import { readBlock } from "./block-weights.ts";
import { type CalibrationBatch, disposeCalibration, embedCalibration } from "./calibration.ts";
import { type AwqGroupSize, awqConfig, awqGroupSize, beyondF16 } from "./config.ts";
import { type AwqBlock, type BlockSettings, quantizeBlock } from "./quantize-block.ts";

/** How a model is quantised to AWQ. */
export interface ExportAwqOptions {
  /** computes the search, in f32 */
  readonly backend: Backend;
  /**
   * token ids of some rows like those the model will see, such as training rows: 128 rows are plenty. They are cut into pieces of 512
   * tokens. Their residual stream is in memory. May be empty when neither `scale` nor `clip` is on;
   * then no errors are measured either
   */
  readonly calibration: readonly (readonly number[])[];
  /**
   * about how many of these tokens the candidates of scales are tried on, from pieces spread evenly over the rows; 2,048 by default,
   * which find the scales of all: AutoAWQ tries every token, and takes ten times as long. Statistics are of all tokens anyway
   */
  readonly searchTokens?: number;
  /** inputs that share a scale: 128, 64 or 32; by default the largest that divides the inputs of every layer */
  readonly groupSize?: number;
  /** search for scales; true by default. Without it and without `clip`, weights are rounded to the nearest */
  readonly scale?: boolean;
  /** search where to cut weights off; true by default, as in AutoAWQ */
  readonly clip?: boolean;
  /** largest size of one file, in bytes; 5 GB by default, as transformers writes */
  readonly shardSize?: number;
  readonly signal?: AbortSignal;
  /** called after each block, of `blocks` */
  readonly onProgress?: (block: AwqBlock, blocks: number) => void;
}

/** What was written, and what the search found. */
export interface ExportedAwq {
  readonly files: readonly string[];
  /** bytes of all tensors */
  readonly bytes: number;
  readonly groupSize: AwqGroupSize;
  readonly blocks: readonly AwqBlock[];
}

/**
 * Quantises the linear layers of the blocks to 4 bits with activation-aware scales (AWQ, Lin et al. 2023), searched as AutoAWQ does
 * (duo scaling, 20 ratios, then clipping), and writes a Hugging Face folder in AutoAWQ's GEMM layout, which vLLM and transformers
 * read; everything else is in f16. One block is in memory at a time. The folder appears complete or not at all.
 * Errors: "config" (a layer's size), "input" (no calibration tokens), "data" (unknown ids), "exists", "io", "numeric".
 */
export async function exportAwq(source: ExportSource, folder: string, options: ExportAwqOptions): Promise<ExportedAwq> {
  const { backend, calibration, searchTokens = 2048, scale = true, clip = true, shardSize = 5e9, signal } = options;
  const { config } = source;
  const groupSize = awqGroupSize(config, options.groupSize);
  const blocks: AwqBlock[] = [];
  let written = { files: [] as readonly string[], totalSize: 0 };
  await commitFolder(folder, async (temporary) => {
    const parts = join(temporary, "parts");
    await mkdir(parts);
    const values = inverseFrequencies({
      ...{ theta: config.ropeTheta, headDim: config.headDim, scaling: config.ropeScaling },
    });
    using frequencies = tensor(backend, "f32", ["frequency"], [values.length], values);
    const settings: BlockSettings = { backend, config, groupSize, scale, clip, signal, frequencies };
    const entries: WeightEntry[] = [];
    const batches: CalibrationBatch[] =
      scale || clip || calibration.length > 0
        ? await embedCalibration(source, { backend, rows: calibration, searchTokens })
        : [];
    try {
      for (let layer = 0; layer < config.layers; layer++) {
        signal?.throwIfAborted();
        const made = await quantizeBlock(layer, await readBlock(source, layer), batches, settings);
        const file = join(parts, `${layer}.safetensors`);
        await writeSafetensors(file, made.entries);
        entries.push(...made.entries.map(({ name, dtype, shape }) => later(file, { name, dtype, shape })));
        blocks.push(made.report);
        options.onProgress?.(made.report, config.layers);
      }
    } finally {
      disposeCalibration(batches);
    }
    const others = [...source.tensors.values()].filter(({ name }) => !name.startsWith("model.layers."));
    const whole = [...others.map((at) => halved(source, at, signal)), ...entries];
    written = await writeShardedSafetensors(temporary, whole, shardSize);
    await rm(parts, { recursive: true });
    const extra = { quantization_config: awqConfig(config, groupSize) };
    await writeCompanions(temporary, { config: source.hfConfig, files: source.files }, "f16", extra);
  });
  return { files: written.files, bytes: written.totalSize, groupSize, blocks };
}

/** A tensor that waits in a file of its block: quantised blocks do not stay in memory. */
function later(file: string, { name, dtype, shape }: Pick<WeightEntry, "name" | "dtype" | "shape">): WeightEntry {
  const data = async (): Promise<DataOf[DType]> => {
    await using part = await openSafetensors(file);
    return await part.read(name, dtype);
  };
  return { name, dtype, shape, data };
}

/** A tensor that is not quantised. */
function halved(source: ExportSource, at: SourceTensor, signal: AbortSignal | undefined): WeightEntry {
  async function* data(): AsyncGenerator<Uint16Array<ArrayBuffer>> {
    for await (const values of windows(source, at, signal)) yield halves(at.name, values, beyondF16);
  }
  return { name: at.name, dtype: "f16", shape: at.shape, data };
}
