import type { Backend, DataOf, DType, Tensor } from "@ft/tensor";

/**
 * Where slots lie between steps: "device", as tensors of the parameter's backend; "host", in host memory; or in a file,
 * inside the folder that is named; or in a place of somebody else's making. The results are the same to the bit.
 */
export type Placement = "device" | "host" | { readonly file: string } | SlotPlace;

/** A stretch of a slot's elements, row-major. */
export interface Range {
  readonly start: number;
  readonly count: number;
}

/** What a slot is, wherever it lies. */
export interface SlotSpec {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly axes: readonly string[];
}

/** One slot of one parameter in its place. No range means the whole of it. */
export interface HeldSlot extends SlotSpec {
  /** whether it can be taken in parts */
  readonly divisible: boolean;
  /** The values as a tensor of the backend; give it back with `put` or `drop`. */
  take(range: Range | undefined): Tensor | Promise<Tensor>;
  /** Keeps `x`, and disposes it. */
  fill(range: Range | undefined, x: Tensor): void | Promise<void>;
  /** Keeps `next` where `taken` was, and disposes both. */
  put(range: Range | undefined, taken: Tensor, next: Tensor): void | Promise<void>;
  /** Gives back what was taken and not changed. */
  drop(taken: Tensor): void;
  read(range: Range): Promise<DataOf[DType]>;
  write(range: Range, data: DataOf[DType]): void | Promise<void>;
}

/** A place for slots. */
export interface SlotPlace {
  /** whether slots are tensors of the backend: then they have their first values from the beginning */
  readonly resident: boolean;
  /** Makes room for a slot. `first` is its first value, which is taken over. */
  hold(backend: Backend, spec: SlotSpec, first?: Tensor): HeldSlot;
  /** Throws code "io" when there is no room for what was asked for. */
  reserve(): void;
  dispose(): void;
}
