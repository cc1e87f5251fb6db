import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type Case, cases, product, strides, upTo } from "./native-products.ts";
import { available, expectWithin, native, property, sameOnThreads, values } from "./native-support.ts";

function check(c: Case): void {
  const [lda, ldb, ldc] = strides(c);
  const a = values((c.ta ? c.k : c.m) * lda, 1);
  const b = values((c.tb ? c.n : c.k) * ldb, 2);
  const before = values(c.m * ldc, 3);
  const [got] = sameOnThreads(() => {
    const out = before.slice();
    native!.kernels.gemm_f32(c.m, c.n, c.k, a, lda, c.ta, b, ldb, c.tb, out, ldc, c.alpha, c.beta);
    return [out];
  });
  const [expected, size] = product(c, a, b, before);
  expectWithin(got!, expected, size, 4e-7); // relative to Σ|a·b|; the padding between rows must not change at all
}

describe.skipIf(!native).each(available)("gemm_f32 on %s", (level) => {
  beforeAll(() => void native!.select(level));

  it("agrees with f64 loops at odd sizes", () => {
    fc.assert(fc.property(cases(upTo(40), upTo(70), upTo(80)), check), property(150));
  });
  it("agrees for one and few rows", () => {
    fc.assert(fc.property(cases(upTo(9), upTo(1100), upTo(300)), check), property(60));
  });
  it("agrees over several blocks of K", () => {
    fc.assert(fc.property(cases(upTo(20), upTo(40), upTo(1400, 200)), check), property(30));
  });
  it("agrees where work is divided over threads", () => {
    fc.assert(fc.property(cases(upTo(220, 80), upTo(220, 80), upTo(200, 90)), check), property(12));
  });
  it("agrees in the thin products of LoRA and over several blocks of columns and chunks of rows", () => {
    const plain = { beta: 0, alpha: 1, padding: 0 } as const;
    check({ ...plain, m: 700, n: 16, k: 576, ta: 0, tb: 1 });
    check({ ...plain, m: 700, n: 576, k: 16, ta: 0, tb: 1, beta: 1 });
    check({ ...plain, m: 16, n: 576, k: 700, ta: 1, tb: 0 });
    check({ ...plain, m: 576, n: 16, k: 700, ta: 1, tb: 0 });
    check({ ...plain, m: 100, n: 2600, k: 300, ta: 0, tb: 1 });
    check({ ...plain, m: 1030, n: 40, k: 300, ta: 0, tb: 0 });
  });
  it("with K = 0 gives beta times C", () => {
    const before = values(12, 5);
    const empty = new Float32Array(4);
    for (const beta of [0, 1] as const) {
      const out = before.slice();
      native!.kernels.gemm_f32(3, 4, 0, empty, 1, 0, empty, 4, 0, out, 4, 1, beta);
      expect(out).toEqual(beta ? before : new Float32Array(12));
    }
  });
  it("does not read C when beta is 0", () => {
    const out = new Float32Array(30 * 30).fill(Number.NaN);
    native!.kernels.gemm_f32(30, 30, 5, values(150, 1), 5, 0, values(150, 2), 30, 0, out, 30, 1, 0);
    expect(out.every(Number.isFinite)).toBe(true);
  });
  it.each([1, 7, 40])("lets NaN and Inf through to their row, %i rows", (m) => {
    for (const tb of [0, 1] as const)
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const a = values(m * 33, 1);
        a[(m - 1) * 33 + 32] = bad;
        const out = new Float32Array(m * 50);
        native!.kernels.gemm_f32(m, 50, 33, a, 33, 0, values(33 * 50, 2), tb ? 33 : 50, tb, out, 50, 1, 0);
        expect(out.subarray((m - 1) * 50).some(Number.isFinite)).toBe(false);
        expect(out.subarray(0, (m - 1) * 50).every(Number.isFinite)).toBe(true);
      }
  });
  it.each([1, 5])("does batches of %i, repeating an operand with stride 0", (batch) => {
    const [m, n, k] = [17, 23, 31];
    const a = values(batch * m * k, 1);
    const b = values(k * n, 2);
    const [got] = sameOnThreads(() => {
      const out = new Float32Array(batch * m * n);
      native!.kernels.gemm_batched_f32(batch, m, n, k, a, k, 0, m * k, b, n, 0, 0, out, n, m * n, 1, 0);
      return [out];
    });
    for (let i = 0; i < batch; i++) {
      const one: Case = { m, n, k, ta: 0, tb: 0, beta: 0, alpha: 1, padding: 0 };
      const [expected, size] = product(one, a.subarray(i * m * k), b, new Float32Array(m * n));
      expectWithin(got!.subarray(i * m * n, (i + 1) * m * n), expected, size, 4e-7);
    }
  });
});
