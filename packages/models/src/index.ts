export * from "./batch.ts";
export * from "./causal-lm.ts";
export { type Companions, companionFiles, readCompanions } from "./companions.ts";
export { configFromGguf, type GgufFacts } from "./config/from-gguf.ts";
export { configFromHf } from "./config/from-hf.ts";
export type { LlamaConfig } from "./config/llama-config.ts";
export { quantMethod } from "./config/quant-method.ts";
export { unexpressedDivisors } from "./config/rope-from-divisors.ts";
export { type GenerateOptions, generate } from "./generate/generate.ts";
export { generateBatch } from "./generate/generate-batch.ts";
export { argmax, type SamplingOptions, sampleToken } from "./generate/sample.ts";
export { KvCache, type Places } from "./kv-cache.ts";
export { type Hidden, LlamaBlock } from "./llama/block.ts";
export { Llama } from "./llama/llama.ts";
export {
  ggufName,
  hasBias,
  type Projection,
  parameterShapes,
  projectionOf,
  projectionShape,
  projections,
} from "./llama/names.ts";
export { pairedHeads, permuteRows } from "./llama/row-pairs.ts";
export { type StoredWeight, weightMap } from "./llama/weight-map.ts";
export {
  type LoadModelOptions,
  loadModel,
  loadModelFrom,
  type ModelFacts,
  readHfConfig,
  readModelFacts,
} from "./load.ts";
export { meanLoss } from "./mean-loss.ts";
export { hfDTypes, type SaveDType, type SaveModelOptions, saveModel, writeCompanions } from "./save.ts";
