export type { ExportSource, SourceTensor } from "./source/export-source.ts";
