import type { Address, CudaContext } from "../context.ts";
import { aligned } from "./alignment.ts";

/** x [m, k] times a weight [n, k] as it lies in memory, into y [m, n]. */
export interface FewRows {
  readonly dtype: string;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly x: Address;
  readonly weight: Address;
  readonly y: Address;
  /** added to what y holds */
  readonly beta: 0 | 1;
}

const block = 256;
/** Columns that a block makes. */
const columns = 8;
/** Rows that the kernel takes; from there on the library is as fast. */
const mostRows = 8;

/** Queues y = x·Wᵀ (+ y) by a kernel of our own where it serves; says whether it did. */
export function fewRows(context: CudaContext, { dtype, m, n, k, x, weight, y, beta }: FewRows): boolean {
  const serves = dtype === "bf16" || dtype === "f16";
  if (!serves || m === 0 || m > mostRows || k === 0 || k % 8 !== 0 || aligned(x, weight) === 0) return false;
  context.launch(`few_rows_${dtype}`, Math.ceil(n / columns), block, [x, weight, m, n, k, beta, y]);
  return true;
}
