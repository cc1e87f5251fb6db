export type { CpuBuffer, CpuView } from "./buffer.ts";
export type { CpuContext } from "./context.ts";
export { type CpuBackend, type CpuOptions, createCpuBackend } from "./cpu-backend.ts";
