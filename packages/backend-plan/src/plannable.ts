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
  adopt(spec: Spec, data: DataOf[DType]): B;
  free(buffer: B): void;
  /** bytes that its buffers would hold now: in use, and kept for reuse */
  held(): { readonly live: number; readonly idle: number };
}

/** A backend that can run dry. The CPU backend is one. */
export interface Plannable extends Backend<DataOf[DType]> {
  dryRun(hooks: {
    readonly maker: {
      readonly memory: (dtype: DType, bytes: number) => ArrayBuffer;
      readonly over: (dtype: DType, memory: ArrayBuffer) => DataOf[DType];
    };
    readonly call: (call: PlannedCall) => void;
  }): DryRun<DataOf[DType]>;
}
