import type { DType, View } from "@ft/tensor";

/** A place in the card's memory. */
export type Address = bigint;

/** What this backend calls a buffer. */
export interface CudaBuffer {
  readonly address: Address;
  readonly bytes: number;
  /** what the host wrote last, of small integer buffers: what kernels may look at without waiting for the card */
  host?: Int32Array | undefined;
}
/** A value on the card. */
export type CudaView = View<CudaBuffer>;

/** An argument of a kernel: a view or an address for a pointer, undefined for a null pointer, a number for the rest. */
export type KernelArgument = CudaView | Address | number | undefined;
/** Blocks in x, or in x, y and z. */
export type Grid = number | readonly [number, number] | readonly [number, number, number];

/** A matrix as it lies in memory, row by row. */
export interface Operand {
  readonly at: Address;
  readonly dtype: DType;
  /** elements from one row to the next, as it lies in memory */
  readonly ld: number;
  /** read with rows and columns swapped */
  readonly transposed?: boolean;
  /** elements from one matrix of a batch to the next; 0 or absent: all share it */
  readonly stride?: number;
}

/** out[m, n] = alpha · op(a)[m, k] · op(b)[k, n] + beta · out, all row-major; sums in f32 (f64 for f64), never TF32. */
export interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly a: Operand;
  readonly b: Operand;
  readonly out: Operand;
  readonly alpha?: number;
  readonly beta?: 0 | 1;
  readonly batch?: number;
}

/** Facts about the card that kernels choose by. */
export interface CardFacts {
  readonly name: string;
  /** 90 for compute capability 9.0 */
  readonly capability: number;
  readonly multiprocessors: number;
  /** bytes */
  readonly memory: number;
}

/** What fused kernels get as their first argument. Everything is queued on one stream, in order; nothing waits. */
export interface CudaContext {
  readonly card: CardFacts;
  /** the stream that everything is queued on: for libraries that take one */
  readonly stream: bigint;
  /** nothing is behind it: a plan. Libraries are not called; what they would take is taken with `scratch` all the same */
  readonly dry: boolean;
  /** bitwise the same results in every run, where that costs speed */
  readonly deterministic: boolean;
  /** Queues a kernel of kernels/*.cu by its name; arguments in the order of its parameters, converted by their types. */
  launch(kernel: string, grid: Grid, block: number, args: readonly KernelArgument[], sharedBytes?: number): void;
  /** Queues a matrix product. a and b are of one dtype; out is of that dtype or f32. */
  multiply(product: Product): void;
  /** Runs `fn`, which queues work of another library on the stream; the name is for profiles. */
  external(name: string, fn: () => void): void;
  /** Runs `fn` over a work area of the card, aligned to 256 bytes, whose contents are undefined before and lost after. */
  scratch<R>(bytes: number, fn: (at: Address) => R): R;
  /** Queues a copy on the card. */
  copy(to: Address, from: Address, bytes: number): void;
  /** Queues filling bytes with one value. */
  fill(to: Address, byte: number, bytes: number): void;
  /** What is kept for as long as the backend lives, made once by `make`: plans of libraries, tables on the card. */
  keep<T>(key: string, make: () => T): T;
  /** Memory that lives as long as the backend: for keep(). */
  reserve(bytes: number): Address;
  /** Copies host bytes to the card; `data` may change afterwards. Throws while a graph is recorded. */
  upload(to: Address, data: ArrayBufferView): void;
  /** the libraries that were found: paths of files */
  readonly libraries: { readonly cublasLt: string; readonly cudnn?: string };
  /** a graph is being recorded: what is queued now is run again later, with other values */
  readonly capturing: boolean;
  /**
   * While a graph is recorded: this decision rests on what the host wrote to `buffer`. The graph serves only inputs for
   * which `describe` gives the same string as now. Does nothing otherwise.
   */
  guard(buffer: CudaBuffer, describe: (host: Int32Array) => string): void;
}

/** Where a view begins. */
export function at(view: CudaView): Address {
  return view.storage.buffer.address;
}
