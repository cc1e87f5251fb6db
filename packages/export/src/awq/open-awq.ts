import { join } from "node:path";
import { configFromHf, type LlamaConfig, parameterShapes, projectionOf, readCompanions } from "@ft/models";
import { FtError } from "@ft/tensor";
import { openSafetensors, type WeightSource } from "@ft/weights";
import type { ExportSource, SourceTensor } from "../source/export-source.ts";
import { windowOf } from "../source/windows.ts";
import { awqGroupSize } from "./config.ts";
import { dequantizeAwq } from "./layout.ts";

/**
 * Opens a folder in AutoAWQ's GEMM layout: every weight as floats under Hugging Face's names, exactly what the 4-bit integers stand
 * for, one layer in memory at a time. With asWeights it is a model to measure. Errors: "unsupported" (another quantisation), "format"
 * (tensors missing or of other sizes), "missing", "io".
 */
export async function openAwq(folder: string): Promise<ExportSource> {
  const { config: json, files } = await readCompanions(folder);
  const file = join(folder, "config.json");
  const config = configFromHf(json, file);
  const groupSize = awqGroupSize(config, groupSizeOf(json.quantization_config, file));
  const weights = await openSafetensors(folder);
  const tensors = new Map<string, SourceTensor>();
  for (const [name, shape] of parameterShapes(config))
    tensors.set(name, { name, shape, dtype: projectionOf(name) ? "f32" : "f16" });
  let last: { readonly name: string; readonly values: Float32Array<ArrayBuffer> } | undefined;
  return {
    ...{ path: folder, config, hfConfig: json, files, tensors },
    async readWindow(name, start, count) {
      if (projectionOf(name) === undefined) return weights.readWindow(name, start, count, "f32");
      const values = last?.name === name ? last.values : await decoded(weights, config, name, groupSize);
      last = { name, values };
      return windowOf(values, name, start, count);
    },
    [Symbol.asyncDispose]: () => weights.close(),
  };
}

async function decoded(
  weights: WeightSource,
  config: LlamaConfig,
  name: string,
  groupSize: number,
): Promise<Float32Array<ArrayBuffer>> {
  const path = name.slice(0, -".weight".length);
  const [out = 0, inputs = 0] = parameterShapes(config).get(name) ?? [];
  return dequantizeAwq(
    {
      qweight: await weights.read(`${path}.qweight`, "i32"),
      qzeros: await weights.read(`${path}.qzeros`, "i32"),
      scales: await weights.read(`${path}.scales`, "f16"),
    },
    [out, inputs],
    groupSize,
  );
}

function groupSizeOf(quantization: unknown, file: string): number {
  const { quant_method, bits, version, zero_point, group_size }: Record<string, unknown> = Object(quantization);
  if (
    quant_method !== "awq" ||
    bits !== 4 ||
    version !== "gemm" ||
    zero_point !== true ||
    typeof group_size !== "number"
  )
    throw new FtError(
      "unsupported",
      `[awq] ${file}: quantization_config is ${JSON.stringify(quantization)}`,
      'AWQ of 4 bits with zero points in the layout "gemm" is read here',
    );
  return group_size;
}
