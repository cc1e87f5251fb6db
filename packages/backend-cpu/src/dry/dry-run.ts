import type { DataOf, DType, Spec } from "@ft/tensor";
import { type BufferMaker, BufferPool, type CpuBuffer } from "../buffer.ts";
import { type CpuContext, createContext } from "../context.ts";
import { type NativeKernels, prototypes } from "../native/abi.ts";
import type { NativeArgument } from "../native/observe.ts";
import { namedArguments, workOf } from "../profile/work.ts";
import { type Workspace, workspaceOf } from "./workspace.ts";

/** What a call of a C kernel would have done. */
export interface DryCall extends Workspace {
  readonly kernel: string;
  /** floating-point operations of the kernels that multiply matrices; otherwise 0 */
  readonly flops: number;
  /** bytes that the other kernels read and write */
  readonly bytes: number;
}

/** What a dry run is made of, and who hears of it. */
export interface DryHooks {
  /** what stands for memory; ids (i32) must be real arrays, since kernels look at them */
  readonly maker: BufferMaker;
  readonly call: (call: DryCall) => void;
}

/**
 * This backend's own kernels and buffers, but nothing is computed and nothing is held: what a plan is made with, so that
 * it cannot tell another story than the kernels.
 */
export interface DryRun {
  readonly context: CpuContext;
  alloc(spec: Spec): CpuBuffer;
  adopt(spec: Spec, data: DataOf[DType]): CpuBuffer;
  part(buffer: CpuBuffer, spec: Spec, start: number, count: number): CpuBuffer;
  free(buffer: CpuBuffer): void;
  /** bytes that buffers would hold now: in use, work arrays of kernels included, and kept for reuse */
  held(): { readonly live: number; readonly idle: number };
}

/** What a C function answers when all is well, where that is not 0. */
const answers: Partial<Record<keyof NativeKernels, number>> = { embedding: -1, embedding_bwd: -1, isfinite: 1 };

/** How the backend computes, as far as memory depends on it. */
export interface DryOptions {
  readonly engine: "native" | "wasm" | "loops";
  readonly threads: number;
  readonly products: 0 | 1;
}

function dryKernels({ engine, threads }: DryOptions, hear: DryHooks["call"]): NativeKernels {
  const named = Object.keys(prototypes).map((kernel) => [
    kernel,
    (...args: NativeArgument[]) => {
      if (kernel === "cross_entropy") countTargets(args);
      const { flops, bytes } = workOf(kernel, args);
      const { transient, kept } = workspaceOf(kernel, args, threads);
      // the module's memory holds a copy of all operands, and never shrinks
      const module = engine === "wasm" ? { module: operandBytes(args) } : {};
      hear({ kernel, flops, bytes, transient, kept: { ...kept, ...module } });
      return new Map<string, number>(Object.entries(answers)).get(kernel) ?? 0;
    },
  ]);
  return Object.fromEntries(named);
}

function operandBytes(args: readonly NativeArgument[]): number {
  let bytes = 0;
  for (const arg of args) if (arg !== null && typeof arg !== "number") bytes += arg.byteLength;
  return bytes;
}

/** Rows with a target, which the kernel reports, and which its work depends on. */
function countTargets(args: readonly NativeArgument[]): void {
  const { array } = namedArguments("cross_entropy", args);
  const [targets, count] = [array("targets"), array("count")];
  if (targets instanceof Int32Array && count instanceof Float64Array)
    count[0] = targets.reduce((n, id) => n + (id >= 0 ? 1 : 0), 0);
}

/** The context and the buffers that a plan over this backend's kernels uses. */
export function dryRun(options: DryOptions, { maker, call }: DryHooks): DryRun {
  const { threads, products } = options;
  const pool = new BufferPool(false, maker);
  const library = { kernels: dryKernels(options, call), setThreads: () => threads, level: () => "none" };
  return {
    context: createContext(pool, threads, library, products),
    alloc: (spec) => pool.take(spec),
    adopt: (spec, data) => pool.adopt(spec, data),
    part: (buffer, _spec, start, count) => buffer.subarray(start, start + count),
    free: (buffer) => pool.give(buffer),
    held: () => ({ live: pool.liveBytes, idle: pool.idleBytes }),
  };
}
