export { type LogitKl, logitKl } from "./check/logit-kl.ts";
export { type ExportedOnnx, type ExportOnnxOptions, exportOnnx } from "./onnx/export-onnx.ts";
export { isOnnxType, type OnnxType, onnxTypes } from "./onnx/types.ts";
export { type ExportSafetensorsOptions, exportSafetensors } from "./safetensors/export-safetensors.ts";
export { asWeights } from "./source/as-weights.ts";
export type { ExportSource, SourceTensor } from "./source/export-source.ts";
export { type ExportSourceOptions, openExportSource } from "./source/open-export-source.ts";
export { windows } from "./source/windows.ts";
