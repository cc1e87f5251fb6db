export { type Append, streamFileAtomic, writeFileAtomic } from "./atomic.ts";
export { commitFolder, type Manifest, verifyFolder } from "./commit-folder.ts";
export { openGguf } from "./gguf.ts";
export { type GgufType, type GgufTypeName, ggufType } from "./gguf-blocks/gguf-type.ts";
export { createQuantizer, type Quantizer, type QuantizerOptions } from "./gguf-blocks/quantize-pool.ts";
export { cachedSnapshot, type Snapshot, type SnapshotFile } from "./hub/cached-snapshot.ts";
export { isRepoId } from "./hub/repo.ts";
export type { HubOptions } from "./hub/settings.ts";
export {
  type DownloadedSnapshot,
  type DownloadProgress,
  type SnapshotDownloadOptions,
  snapshotDownload,
} from "./hub/snapshot-download.ts";
export { type LoadOptions, loadTensor } from "./load-tensor.ts";
export { openWeights } from "./open-weights.ts";
export { readJsonFile } from "./read-json-file.ts";
export { openSafetensors } from "./safetensors.ts";
export { readRows, type TensorInfo, type WeightSource } from "./source.ts";
export {
  type ShardedResult,
  type WeightEntry,
  writeSafetensors,
  writeShardedSafetensors,
} from "./write-safetensors.ts";
