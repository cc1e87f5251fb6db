import { type DType, FtError } from "@ft/tensor";
import type { Operand, Product } from "../context.ts";
import { type CublasLt, checkStatus, created } from "./abi.ts";

/** cudaDataType */
const types: Partial<Record<DType, number>> = { f32: 0, f64: 1, f16: 2, bf16: 14 };
/** cublasComputeType: sums in f32 (or f64), never TF32 */
const compute = { f32: 68, f64: 70 } as const;

const attribute = {
  transA: 3,
  transB: 4,
  batchCount: 5,
  batchStride: 6,
  maxWorkspace: 1,
  minAlignment: [5, 6, 7, 8],
} as const;

/** bytes of cublasLtMatmulHeuristicResult_t; the first 64 are the algorithm */
const resultBytes = 96;
const algorithmBytes = 64;

/** A product's descriptors, and the algorithms that serve it, the most promising first. */
export interface Plan {
  readonly product: bigint;
  readonly a: bigint;
  readonly b: bigint;
  readonly out: bigint;
  readonly algorithms: readonly Uint8Array[];
  algorithm: Uint8Array;
}

/** The largest power of two up to 256 that an address is a multiple of. */
export function alignmentOf(address: bigint): number {
  const low = Number(address & 255n);
  return low === 0 ? 256 : low & -low;
}

/**
 * Plans a product of row-major matrices: read column by column, as the library does, each is its own transpose, so that
 * outᵀ = bᵀ·aᵀ is asked for, b first.
 */
export function makePlan(
  lt: CublasLt,
  handle: bigint,
  { m, n, k, a, b, out, batch = 1 }: Product,
  workspaceBytes: number,
  wanted: number,
): Plan {
  const wide = a.dtype === "f64" ? "f64" : "f32";
  const typeOf = ({ dtype }: Operand): number => {
    const type = types[dtype];
    if (type === undefined) throw new FtError("dtype", `[cuda] a product of ${dtype}`, "multiply floats");
    return type;
  };
  const product = created("product", lt.createProduct, compute[wide], types[wide]!);
  const set = (which: number, value: number): void =>
    checkStatus("product", lt.setProduct(product, which, Int32Array.of(value), 4));
  set(attribute.transA, b.transposed ? 1 : 0);
  set(attribute.transB, a.transposed ? 1 : 0);
  const layout = (operand: Operand, rows: number, columns: number): bigint => {
    const made = created("layout", lt.createLayout, typeOf(operand), columns, rows, operand.ld);
    if (batch > 1) {
      checkStatus("layout", lt.setLayout(made, attribute.batchCount, Int32Array.of(batch), 4));
      checkStatus(
        "layout",
        lt.setLayout(made, attribute.batchStride, BigInt64Array.of(BigInt(operand.stride ?? 0)), 8),
      );
    }
    return made;
  };
  const layouts = {
    a: layout(b, b.transposed ? n : k, b.transposed ? k : n),
    b: layout(a, a.transposed ? k : m, a.transposed ? m : k),
    out: layout(out, m, n),
  };
  const preference = created("preference", lt.createPreference);
  const prefer = (which: number, value: ArrayBufferView): void =>
    checkStatus("preference", lt.setPreference(preference, which, value, value.byteLength));
  prefer(attribute.maxWorkspace, BigUint64Array.of(BigInt(workspaceBytes)));
  for (const [i, operand] of [b, a, out, out].entries())
    prefer(attribute.minAlignment[i]!, Uint32Array.of(alignmentOf(operand.at)));
  const results = new Uint8Array(resultBytes * wanted);
  const found = [0];
  const status = lt.heuristic(
    handle,
    product,
    layouts.a,
    layouts.b,
    layouts.out,
    layouts.out,
    preference,
    wanted,
    results,
    found,
  );
  lt.destroyPreference(preference);
  const shape = `${m} x ${n} x ${k} of ${a.dtype} to ${out.dtype}`;
  checkStatus(`a product ${shape}`, status);
  const algorithms = Array.from({ length: found[0]! }, (_, i) =>
    results.slice(i * resultBytes, i * resultBytes + algorithmBytes),
  );
  const [algorithm] = algorithms;
  if (algorithm === undefined)
    throw new FtError("backend", `[cuda] cuBLASLt has no algorithm for a product ${shape}`, "please report it");
  return { product, ...layouts, algorithms, algorithm };
}

/** Equal for products that one plan serves. */
export function planKey({ m, n, k, a, b, out, beta, batch = 1 }: Product): string {
  const of = ({ at, dtype, ld, transposed, stride = 0 }: Operand): string =>
    `${dtype}${ld}${transposed ? "t" : "n"}${stride}a${alignmentOf(at)}`;
  return `${m},${n},${k},${batch},${beta ?? 0},${of(a)},${of(b)},${of(out)}`;
}
