import { dataType, type pointwise, type reduction } from "./enums.ts";

/** A type of elements, as cuDNN numbers it. */
export type DataType = (typeof dataType)[keyof typeof dataType];

/** A tensor of a graph: real ones have a name, by which they get their memory; the others never leave the engine. */
export interface GraphTensor {
  readonly id: number;
  readonly name?: string | undefined;
  readonly dims: readonly number[];
  readonly strides: readonly number[];
  readonly type: DataType;
  /** where each batch entry begins, in elements */
  readonly offsets?: GraphTensor | undefined;
  /** a number that every execution passes along */
  readonly value?: number;
}

/** One node of a graph. */
export type GraphOperation =
  | ({ readonly kind: "matmul"; readonly a: GraphTensor; readonly b: GraphTensor; readonly y: GraphTensor } & Lengths)
  | ({ readonly kind: "pointwise"; readonly x: GraphTensor; readonly y: GraphTensor } & PointwiseOptions)
  | { readonly kind: "reduction"; readonly operator: Reduction; readonly x: GraphTensor; readonly y: GraphTensor }
  | { readonly kind: "reshape"; readonly x: GraphTensor; readonly y: GraphTensor };

/** Real lengths of the axes of a product, by batch entry. */
export interface Lengths {
  readonly m?: GraphTensor | undefined;
  readonly n?: GraphTensor | undefined;
  readonly k?: GraphTensor | undefined;
}
interface PointwiseOptions {
  readonly mode: (typeof pointwise)[keyof typeof pointwise];
  readonly b?: GraphTensor | undefined;
  /** the condition of a selection */
  readonly t?: GraphTensor | undefined;
  readonly axis?: number | undefined;
  /** what it computes in */
  readonly precision: DataType;
}
type Reduction = (typeof reduction)[keyof typeof reduction];

/** What is to be computed, in the order of its making: plain data, which plan.ts hands to cuDNN. */
export interface Graph {
  readonly tensors: readonly GraphTensor[];
  readonly operations: readonly GraphOperation[];
}

/** Row-major strides. */
export function dense(dims: readonly number[]): number[] {
  let count = 1;
  return dims
    .map((_, i) => {
      const stride = count;
      count *= dims[dims.length - 1 - i]!;
      return stride;
    })
    .reverse();
}

/** Collects tensors and operations. Every method that computes returns its result, a virtual f32 tensor unless told else. */
export class GraphBuilder implements Graph {
  readonly tensors: GraphTensor[] = [];
  readonly operations: GraphOperation[] = [];

  #add(tensor: Omit<GraphTensor, "id">): GraphTensor {
    const made = { id: this.tensors.length + 1, ...tensor };
    this.tensors.push(made);
    return made;
  }

  /** A tensor in memory. */
  real(
    name: string,
    dims: readonly number[],
    type: DataType,
    strides: readonly number[] = dense(dims),
    offsets?: GraphTensor,
  ): GraphTensor {
    return this.#add({ name, dims, strides, type, offsets });
  }

  /** A tensor that is never written out. */
  virtual(
    dims: readonly number[],
    type: DataType = dataType.f32,
    strides: readonly number[] = dense(dims),
    offsets?: GraphTensor,
  ): GraphTensor {
    return this.#add({ dims, strides, type, offsets });
  }

  number(value: number): GraphTensor {
    return this.#add({ dims: [1, 1, 1, 1], strides: [1, 1, 1, 1], type: dataType.f32, value });
  }

  matmul(a: GraphTensor, b: GraphTensor, y: GraphTensor, lengths: Lengths = {}): GraphTensor {
    this.operations.push({ kind: "matmul", a, b, y, ...lengths });
    return y;
  }

  pointwise(
    mode: PointwiseOptions["mode"],
    x: GraphTensor,
    more: Partial<Omit<PointwiseOptions, "mode">> & { readonly y?: GraphTensor; readonly type?: DataType } = {},
  ): GraphTensor {
    const { y = this.virtual(x.dims, more.type, x.strides), b, t, axis, precision = dataType.f32 } = more;
    this.operations.push({ kind: "pointwise", mode, x, y, b, t, axis, precision });
    return y;
  }

  reduce(operator: Reduction, x: GraphTensor, y: GraphTensor): GraphTensor {
    this.operations.push({ kind: "reduction", operator, x, y });
    return y;
  }

  /** The same elements, read with the dims and strides of `y`. */
  reshape(x: GraphTensor, y: GraphTensor): GraphTensor {
    this.operations.push({ kind: "reshape", x, y });
    return y;
  }
}
