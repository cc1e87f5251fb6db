import type { NativeObserver } from "../native/observe.ts";
import { workOf } from "./work.ts";

/** All calls of one C kernel, of a matrix product those of one shape. */
export interface KernelTime {
  readonly kernel: string;
  /** "2048 x 576 x 1536, A·Bᵀ, bf16" of a matrix product, "" of anything else */
  readonly shape: string;
  readonly calls: number;
  readonly milliseconds: number;
  /** floating-point operations of the kernels that multiply matrices: products, attention, loss; otherwise 0 */
  readonly flops: number;
  /** bytes of the arrays that the other kernels read and write; 0 for those that multiply matrices */
  readonly bytes: number;
}

/** Where the time in C kernels goes. */
export interface KernelProfile {
  /** goes into createCpuBackend({ observe }) */
  readonly observe: NativeObserver;
  /** what took longest comes first */
  times(): KernelTime[];
  /** forgets what has been */
  reset(): void;
}

/** Adds up the calls of C kernels: `const profile = kernelProfile(); createCpuBackend({ observe: profile.observe })`. */
export function kernelProfile(): KernelProfile {
  const sums = new Map<string, { -readonly [K in keyof KernelTime]: KernelTime[K] }>();
  return {
    observe(kernel, args, milliseconds) {
      const { shape, flops, bytes } = workOf(kernel, args);
      const key = `${kernel} ${shape}`;
      let sum = sums.get(key);
      if (sum === undefined) {
        sum = { kernel, shape, calls: 0, milliseconds: 0, flops: 0, bytes: 0 };
        sums.set(key, sum);
      }
      sum.calls++;
      sum.milliseconds += milliseconds;
      sum.flops += flops;
      sum.bytes += bytes;
    },
    times: () => [...sums.values()].map((sum) => ({ ...sum })).sort((a, b) => b.milliseconds - a.milliseconds),
    reset: () => sums.clear(),
  };
}
