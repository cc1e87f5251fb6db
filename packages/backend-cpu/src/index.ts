export type { CpuBuffer, CpuView } from "./buffer.ts";
export { type CpuBackend, type CpuContext, type CpuOptions, createCpuBackend } from "./cpu-backend.ts";
