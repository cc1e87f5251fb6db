import type { FloatDType, Tensor, WideDType } from "@ft/tensor";
import type { Role } from "./role.ts";

/** An optimizer's state of one parameter, by slot name: `{ m, v }`. */
export type Slots = { readonly [slot: string]: Tensor };

/** A number of this step, as a 0-d tensor in f32 (f64 for f64 parameters), so that a captured step can replay. */
export type Scalar = Tensor<WideDType, readonly []>;

/** Which parameter an optimizer is asked about. */
export interface Place {
  /** the checkpoint's own name, such as "model.layers.0.mlp.up_proj.weight" */
  readonly name: string;
  readonly role: Role;
  readonly param: Tensor<FloatDType>;
  /** elements of the whole parameter where `param` is a window of it: what depends on the size looks here first */
  readonly size?: number;
  /** where the window begins, in elements of the whole parameter; absent for the whole */
  readonly start?: number;
}

/**
 * How one tensor is trained. Pure to its author and per tensor, with named typed slots `S` and named scalars `C`:
 * OptimizerState applies it to a whole model, saves it and resumes it without further code.
 */
export interface Optimizer<S extends Slots, C extends string> {
  readonly name: string;
  /**
   * Element i of the next value and slots depends only on its group: `group` row-major neighbours from a multiple of
   * `group` on (1: elementwise; 256: block-wise 8-bit state). A slot then holds one value per element or one per group,
   * and a large parameter may be stepped in windows of whole groups. Absent: step needs the whole tensor.
   */
  readonly group?: number;
  /** Parameters in 16 bits are roundings of values that a slot holds in f32, so that small updates are not lost. */
  readonly keepsMasters?: boolean;
  /** Parameters in bf16 are rounded up or down by chance, so that small updates arrive on average. */
  readonly roundsStochastically?: boolean;
  /** Slots whose values are never negative, such as means of squares: a codec has no use for a sign there. */
  readonly nonNegative?: readonly string[];
  /** Slots before the first step, usually zeros. */
  init(at: Place): S;
  /** What changes from step to step, on the host in f64 (β₂ᵗ loses digits in f32). `step` counts from 1. */
  scalars(at: { readonly step: number; readonly lr: number }): { readonly [K in C]: number };
  /** The next value and slots. May take over the buffers of param and slots (donate); never those of grad or scalars. */
  step(
    at: Place & {
      readonly grad: Tensor;
      readonly slots: S;
      readonly scalars: { readonly [K in C]: Scalar };
    },
  ): { readonly param: Tensor<FloatDType>; readonly slots: S };
  /**
   * step() of many whole parameters at once, their gradients times `scale`; undefined, and nothing is done, where that is
   * not better than one by one. Absent: one by one.
   */
  stepEach?(
    parameters: readonly (Place & { readonly grad: Tensor; readonly slots: S })[],
    numbers: { readonly scalars: { readonly [K in C]: Scalar }; readonly scale: Scalar | undefined },
  ): readonly { readonly param: Tensor; readonly slots: S }[] | undefined;
  /** The value to evaluate, save and export, where it is not the value being trained (schedule-free and averaging methods). */
  evaluated?(at: Place & { readonly slots: S }): Tensor<FloatDType>;
}

/** An optimizer whose slots and scalars are not known by type: what the trainer and the groups handle. */
export type AnyOptimizer = Optimizer<Slots, string>;
