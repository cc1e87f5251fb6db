export type { CpuBackend, CpuEngine, CpuOptions } from "./assemble.ts";
export type { BufferMaker, BufferStats, CpuBuffer, CpuView } from "./buffer.ts";
export type { CpuContext } from "./context.ts";
export { createCpuBackend } from "./cpu-backend.ts";
export type { DryCall, DryHooks, DryRun } from "./dry/dry-run.ts";
export type { NativeArgument, NativeObserver } from "./native/observe.ts";
export { type KernelProfile, type KernelTime, kernelProfile } from "./profile/kernel-profile.ts";
