import type { Backend, DataOf, DType, Spec } from "@ft/tensor";

/** What one call below the kernels would have done. */
export interface PlannedCall {
  readonly kernel: string;
  /** floating-point operations of calls that multiply matrices; otherwise 0 */
  readonly flops: number;
  /** bytes that the other calls read and write */
  readonly bytes: number;
  /** bytes taken for the call only, beside its arrays */
  readonly transient: number;
  /** bytes kept for later calls, by slot; a slot is as large as its largest use */
  readonly kept: Readonly<Record<string, number>>;
}

/** A backend's kernels and buffers with nothing in them. */
export interface DryRun<B> {
  readonly context: unknown;
  alloc(spec: Spec): B;
  adopt?(spec: Spec, data: DataOf[DType]): B;
  part?(buffer: B, spec: Spec, start: number, count: number): B;
  free(buffer: B): void;
  /** What it keeps of host values, where kernels look at them; absent where buffers are host arrays. */
  write?(buffer: B, spec: Spec, data: DataOf[DType]): void;
  /** bytes that its buffers would hold now: in use, and kept for reuse */
  held(): { readonly live: number; readonly idle: number };
}

/** What stands for memory, and who hears of calls. */
export interface DryRunHooks {
  readonly maker: {
    readonly memory: (dtype: DType, bytes: number) => ArrayBuffer;
    readonly over: (dtype: DType, memory: ArrayBuffer) => DataOf[DType];
  };
  readonly call: (call: PlannedCall) => void;
}

/** A backend that can run dry: the CPU backend, or a card that need not be there. */
export interface Plannable<B = DataOf[DType]>
  extends Pick<Backend<B>, "name" | "dtypes" | "mutable" | "kernels" | "bytes"> {
  dryRun(hooks: DryRunHooks): DryRun<B>;
}
