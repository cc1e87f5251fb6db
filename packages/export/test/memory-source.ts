import { configFromHf } from "@ft/models";
import type { ExportSource, SourceTensor } from "../src/source/export-source.ts";

/** An export source of arrays: the weights of a model, or a few matrices by themselves. */
export function memorySource(
  weights: ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: Float32Array }>,
  hfConfig: Readonly<Record<string, unknown>> = {
    model_type: "llama",
    vocab_size: 4,
    hidden_size: 4,
    intermediate_size: 4,
    num_hidden_layers: 1,
    num_attention_heads: 1,
  },
): ExportSource {
  const tensors = new Map(
    [...weights].map(([name, { shape }]): [string, SourceTensor] => [name, { name, shape, dtype: "f32" }]),
  );
  return {
    ...{ path: "memory", config: configFromHf(hfConfig, "config.json"), hfConfig, files: new Map(), tensors },
    readWindow: async (name, start, count) =>
      Float32Array.from(weights.get(name)!.values.subarray(start, start + count)),
    async [Symbol.asyncDispose]() {},
  };
}
