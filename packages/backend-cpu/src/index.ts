export type { CpuBackend, CpuEngine, CpuOptions } from "./assemble.ts";
export type { BufferStats, CpuBuffer, CpuView } from "./buffer.ts";
export type { CpuContext } from "./context.ts";
export { createCpuBackend } from "./cpu-backend.ts";
export type { NativeArgument, NativeObserver } from "./native/observe.ts";
export { type KernelProfile, type KernelTime, kernelProfile } from "./profile/kernel-profile.ts";
