export { type Append, streamFileAtomic, writeFileAtomic } from "./atomic.ts";
export { commitFolder, type Manifest, verifyFolder } from "./commit-folder.ts";
export { openGguf } from "./gguf.ts";
export { type GgufType, type GgufTypeName, ggufType } from "./gguf-blocks/gguf-type.ts";
export { createQuantizer, type Quantizer, type QuantizerOptions } from "./gguf-blocks/quantize-pool.ts";
export type { GgufValue } from "./gguf-value.ts";
export { cachedSnapshot, type Snapshot, type SnapshotFile } from "./hub/cached-snapshot.ts";
export { globMatcher } from "./hub/glob.ts";
export { isRepoId } from "./hub/repo.ts";
export type { HubOptions } from "./hub/settings.ts";
export {
  type DownloadedSnapshot,
  type DownloadProgress,
  type SnapshotDownloadOptions,
  snapshotDownload,
} from "./hub/snapshot-download.ts";
export type { UploadFile } from "./hub/upload-file.ts";
export {
  checkUpload,
  type UploadEvent,
  type UploadedFiles,
  type UploadFilesOptions,
  uploadFiles,
} from "./hub/upload-files.ts";
export type { UploadProgress } from "./hub/upload-progress.ts";
export { type LoadOptions, loadTensor } from "./load-tensor.ts";
export { openWeights } from "./open-weights.ts";
export { readJsonFile } from "./read-json-file.ts";
export { openSafetensors } from "./safetensors.ts";
export { sha256File } from "./sha256-file.ts";
export { readRows, type TensorInfo, type WeightSource } from "./source.ts";
export { type GgufEntry, writeGguf } from "./write-gguf.ts";
export {
  type ShardedResult,
  type WeightEntry,
  writeSafetensors,
  writeShardedSafetensors,
} from "./write-safetensors.ts";
