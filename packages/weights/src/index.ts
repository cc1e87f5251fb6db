export { openGguf } from "./gguf.ts";
export { openWeights } from "./open-weights.ts";
export { openSafetensors } from "./safetensors.ts";
export { readRows, type TensorInfo, type WeightSource } from "./source.ts";
