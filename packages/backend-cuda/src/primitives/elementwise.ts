import { type DType, FtError, type PrimitiveKernels, sameShape, sizeOf } from "@ft/tensor";
import type { CudaBuffer, CudaContext, CudaView } from "../context.ts";
import { aligned, flatBlock, flatGrid, threeFloats } from "../kernels/alignment.ts";
import { broadcastStrides, walk } from "./strides.ts";

type Elementwise = Pick<PrimitiveKernels<CudaBuffer>, "unary" | "binary" | "compare" | "where" | "searchSorted">;

/** The dtypes as kernels/any.cuh numbers them. */
export const dtypeCode: { readonly [D in DType]: number } = {
  f64: 0,
  f32: 1,
  bf16: 2,
  f16: 3,
  i32: 4,
  i8: 5,
  u8: 6,
  bool: 7,
};

const unaryKinds = ["neg", "abs", "floor", "exp", "log", "sqrt", "sin", "cos", "tanh", "erf"] as const;
const binaryKinds = ["add", "sub", "mul", "div", "min", "max"] as const;
const compareKinds = ["lt", "le", "eq"] as const;

/** What kernels compute in, by the dtype of what they read. */
export function computedIn(dtype: DType): "f64" | "f32" | "i32" {
  if (dtype === "f64") return "f64";
  return dtype === "f32" || dtype === "bf16" || dtype === "f16" ? "f32" : "i32";
}

/** As computedIn, beside an immediate: one that no i32 holds meets integers in f64, which holds both. */
function computedBeside(dtype: DType, b: CudaView | number): "f64" | "f32" | "i32" {
  const width = computedIn(dtype);
  return width === "i32" && typeof b === "number" && (b | 0) !== b ? "f64" : width;
}

export const block = 256;
/** Blocks of threads that take every so manieth of n elements. */
export function blocksOf({ card }: CudaContext, n: number): number {
  return Math.min(Math.ceil(n / block), 32 * card.multiprocessors);
}

/** Kernels that compute an element from the elements in its place. */
export function elementwise(context: CudaContext): Elementwise {
  const spread = (out: CudaView, a: CudaView, b: CudaView | number) => {
    const dense = sameShape(a.shape, out.shape) && (typeof b === "number" || sameShape(b.shape, out.shape));
    const right = typeof b === "number" ? out.shape.map(() => 0) : broadcastStrides(b.shape, out.shape);
    const { sizes, strides } = walk(out.shape, [broadcastStrides(a.shape, out.shape), right]);
    return { dense, walked: [...sizes, ...strides.flat()] };
  };
  const operands = (a: CudaView, b: CudaView | number) => {
    const [second, number] = typeof b === "number" ? [undefined, b] : [b, 0];
    return [a, dtypeCode[a.dtype], second, dtypeCode[second?.dtype ?? a.dtype], number] as const;
  };
  return {
    unary({ x }, { kind }, out) {
      const n = sizeOf(out.shape);
      const args = [unaryKinds.indexOf(kind), x, out, dtypeCode[x.dtype], n];
      context.launch(`unary_${computedIn(x.dtype)}`, blocksOf(context, n), block, args);
    },
    binary({ a, b }, { kind }, out) {
      const n = sizeOf(out.shape);
      if (kind === "add" && typeof b !== "number" && sameShape(a.shape, b.shape) && threeFloats.has(a.dtype)) {
        const args = [a, b, n, aligned(a, b, out), out];
        context.launch(`flat_add_${out.dtype}`, flatGrid(n, out.dtype), flatBlock, args);
        return;
      }
      const { dense, walked } = spread(out, a, b);
      const args = [
        binaryKinds.indexOf(kind),
        ...operands(a, b),
        n,
        dense ? 1 : 0,
        ...walked,
        out,
        dtypeCode[out.dtype],
      ];
      context.launch(`binary_${computedBeside(a.dtype, b)}`, blocksOf(context, n), block, args);
    },
    compare({ a, b }, { kind }, out) {
      const n = sizeOf(out.shape);
      const { dense, walked } = spread(out, a, b);
      const args = [compareKinds.indexOf(kind), ...operands(a, b), n, dense ? 1 : 0, ...walked, out];
      context.launch(`compare_${computedBeside(a.dtype, b)}`, blocksOf(context, n), block, args);
    },
    where({ test, a, b }, _attrs, out) {
      const n = sizeOf(out.shape);
      const { shape } = out;
      const right = typeof b === "number" ? shape.map(() => 0) : broadcastStrides(b.shape, shape);
      const { sizes, strides } = walk(shape, [
        broadcastStrides(test.shape, shape),
        broadcastStrides(a.shape, shape),
        right,
      ]);
      const [second, number] = typeof b === "number" ? [undefined, b] : [b, 0];
      const args = [test, a, second, dtypeCode[a.dtype], number, n, ...sizes, ...strides.flat(), out];
      context.launch(`where_${computedIn(a.dtype)}`, blocksOf(context, n), block, args);
    },
    searchSorted({ x, bounds }, _attrs, out) {
      if ((x.dtype !== "f32" && x.dtype !== "f64") || bounds.dtype !== x.dtype)
        throw new FtError("dtype", `[searchSorted] ${x.dtype} among ${bounds.dtype}`, "cast both to f32");
      const n = sizeOf(x.shape);
      context.launch(`search_sorted_${x.dtype}`, blocksOf(context, n), block, [
        x,
        bounds,
        sizeOf(bounds.shape),
        n,
        out,
      ]);
    },
  };
}
