import fc from "fast-check";
import { expect } from "vitest";
import type { NativeKernels, Storage, Stored } from "../src/native/abi.ts";

/** C[m,n] = alpha op(A) op(B) + beta C; rows are `padding` longer than they need to be. */
export interface Case {
  m: number;
  n: number;
  k: number;
  ta: 0 | 1;
  tb: 0 | 1;
  beta: 0 | 1;
  alpha: number;
  padding: number;
}

/** C and Σ|a·b| by plain loops in f64; what is written is what the kernel must agree with. */
export function product(c: Case, a: Float32Array, b: Float32Array, before: Float32Array): [Float64Array, Float64Array] {
  const [lda, ldb, ldc] = strides(c);
  const out = Float64Array.from(before);
  const size = new Float64Array(before.length).fill(1);
  for (let i = 0; i < c.m; i++)
    for (let j = 0; j < c.n; j++) {
      let sum = 0;
      let absolute = 0;
      for (let p = 0; p < c.k; p++) {
        const term = a[c.ta ? p * lda + i : i * lda + p]! * b[c.tb ? j * ldb + p : p * ldb + j]!;
        sum += term;
        absolute += Math.abs(term);
      }
      out[i * ldc + j] = c.alpha * sum + (c.beta ? before[i * ldc + j]! : 0);
      size[i * ldc + j] = Math.abs(c.alpha) * absolute + Math.abs(before[i * ldc + j]!) + 1e-6;
    }
  return [out, size];
}

/** Distances between stored rows of A, B and C. */
export function strides({ m, n, k, ta, tb, padding }: Case): [number, number, number] {
  return [(ta ? m : k) + padding, (tb ? k : n) + padding, n + padding];
}

/** Runs a case over a weight as it is stored, adding onto a copy of `before`. */
export function multiply(
  gemm: NativeKernels["gemm"],
  c: Case,
  a: Float32Array,
  weight: { stored: Stored; storage: Storage; scales: Float32Array | null; block: number },
  before: Float32Array,
  products: 0 | 1,
): Float32Array {
  const [lda, ldb, ldc] = strides(c);
  const { stored, storage, scales, block } = weight;
  const out = before.slice();
  const b = [stored, storage, scales, block, ldb, c.tb] as const;
  expect(gemm(c.m, c.n, c.k, a, lda, c.ta, ...b, out, ldc, c.alpha, c.beta, products)).toBe(0);
  return out;
}

const bit = fc.constantFrom<0 | 1>(0, 1);
export const cases = (m: fc.Arbitrary<number>, n: fc.Arbitrary<number>, k: fc.Arbitrary<number>): fc.Arbitrary<Case> =>
  fc.record({
    m,
    n,
    k,
    ta: bit,
    tb: bit,
    beta: bit,
    alpha: fc.constantFrom(1, 0.5, -3),
    padding: fc.integer({ min: 0, max: 3 }),
  });
export const upTo = (max: number, min = 1): fc.Arbitrary<number> => fc.integer({ min, max });
