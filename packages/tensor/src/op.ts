import type { View } from "./backend.ts";
import type { Spec } from "./dtype.ts";
import type { P } from "./prims.ts";

/**
 * One type literal says everything about an op: its inputs, outputs and attributes; what the backward reads as it is
 * (`keeps`, inputs or outputs by name) and what the forward makes for it (`saved`).
 */
export interface OpShape {
  in: object;
  out: object;
  attrs: object;
  keeps: object;
  saved: object;
}
/** Dtypes and shapes of named views. */
export type Specs<V> = { readonly [K in keyof V]: Spec };
/** Which inputs need a gradient. */
export type Wants<V> = { readonly [K in keyof V]: boolean };

/** What infer is told: specs, attributes, and which gradients are wanted. */
export interface InferAt<T extends OpShape> {
  readonly in: Specs<T["in"]>;
  readonly attrs: T["attrs"];
  readonly wants: Wants<T["in"]>;
}
/** What a forward is told: its inputs, attributes, and which gradients are wanted. */
export interface ForwardAt<T extends OpShape> {
  readonly in: T["in"];
  readonly attrs: T["attrs"];
  readonly wants: Wants<T["in"]>;
}
/** What a backward is told: what the forward kept and saved, and the gradients of the outputs. */
export interface BackwardAt<T extends OpShape> {
  readonly kept: T["keeps"];
  readonly saved: T["saved"];
  readonly attrs: T["attrs"];
  readonly wants: Wants<T["in"]>;
  /** gradients of the outputs; zeros where nothing reached one */
  readonly grad: T["out"];
  /** specs of the inputs, kept or not */
  readonly spec: Specs<T["in"]>;
}

/** An open operation: anybody may define one, and it runs on every backend through its reference. */
export interface Op<T extends OpShape> {
  readonly id: symbol;
  readonly name: string;
  /** Which inputs and outputs the backward will read, given which gradients are wanted: a frozen weight keeps no activation. */
  readonly keeps: (wants: Wants<T["in"]>) => { readonly [K in keyof T["keeps"]]-?: boolean | undefined };
  /** output -> input whose buffer a kernel may take over when the caller donates it */
  readonly inPlace?: { readonly [K in keyof T["out"]]?: keyof T["in"] };
  /**
   * Cheaper to run again than to keep: a backward that reads an output of this op gets it made anew from what this op
   * keeps, which must be all its inputs. Same bytes, less memory.
   */
  readonly remake?: true;
  /** Shapes and dtypes only; throws FtError on shapes that do not fit. */
  readonly infer: (at: InferAt<T>) => { readonly out: Specs<T["out"]>; readonly saved: Specs<T["saved"]> };
  /** The reference: what the op means, in primitives. Computes in f32 (f64 for f64) and rounds once. */
  readonly forward: (p: P, at: ForwardAt<T>) => { readonly out: T["out"]; readonly saved: T["saved"] };
  /** Gradients of the wanted inputs, in primitives. Absent: asking for a gradient is an error. */
  readonly vjp?: (p: P, at: BackwardAt<T>) => Partial<T["in"]>;
}

/** Defines an op; its identity is its name, so kernels written elsewhere find it. */
export function defineOp<T extends OpShape>(op: Omit<Op<T>, "id">): Op<T> {
  return { ...op, id: Symbol.for(`@ft/op/${op.name}`) };
}

/** Where a fused backward writes the gradient of an input. */
export interface Destinations<K extends string> {
  /** The buffer for a gradient: the candidate's own if nobody will read it again, else a fresh one. */
  readonly into: (name: K, candidate?: View) => View;
  /** As `into`, or the gradient that others have left so far: with beta 1 the kernel adds onto it and returns it. */
  readonly onto: (name: K, candidate?: View) => { readonly to: View; readonly beta: 0 | 1 };
}

/** A fused form of an op for backends whose context is C. It may bring one half only; the other half runs as reference. */
export interface Kernel<T extends OpShape, C> {
  readonly op: Op<T>;
  /** Whether this kernel serves such inputs (dtypes, sizes); otherwise the reference runs. Absent: always. */
  readonly accepts?: (at: InferAt<T>) => boolean;
  /** Writes `out` and `saved`, which are allocated, or taken over, already. */
  readonly forward?: (context: C, at: ForwardAt<T> & { readonly out: T["out"]; readonly saved: T["saved"] }) => void;
  readonly vjp?: (context: C, at: BackwardAt<T> & Destinations<keyof T["in"] & string>) => Partial<T["in"]>;
}

/** A kernel of any op for context C. Property functions, not methods, so that a kernel for another context does not fit. */
export interface AnyKernel<C = any> {
  readonly op: { readonly id: symbol; readonly name: string };
  readonly accepts?: (at: any) => boolean;
  readonly forward?: (context: C, at: any) => void;
  readonly vjp?: (context: C, at: any) => object;
}

/** Gives an op a fused form for backends whose context is C; conformance compares it with the reference. */
export function defineKernel<T extends OpShape, C>(op: Op<T>, kernel: Omit<Kernel<T, C>, "op">): Kernel<T, C> {
  return { op, ...kernel };
}

/** The table a backend keeps: kernels by op identity, later ones replacing earlier ones. */
export function kernelTable<C>(kernels: readonly AnyKernel<C>[]): ReadonlyMap<symbol, AnyKernel> {
  return new Map(kernels.map((k) => [k.op.id, k]));
}
