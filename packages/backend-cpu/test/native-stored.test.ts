import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { Storage, Stored } from "../src/native/abi.ts";
import { type Case, cases, multiply, product, strides, upTo } from "./native-products.ts";
import { available, expectWithin, native, property, sameOnThreads, values } from "./native-support.ts";
import { storages } from "./stored-formats.ts";

const table = available.flatMap((level) => storages.map((s) => ({ level, ...s })));

describe.skipIf(!native).each(table)("weights in $name on $level", ({ level, storage, make }) => {
  beforeAll(() => void native!.select(level));

  function check(c: Case): void {
    const [lda, ldb, ldc] = strides(c);
    const a = values((c.ta ? c.k : c.m) * lda, 1);
    const { stored, scales, block, plain } = make(c.tb ? c.n : c.k, ldb, 2);
    const before = values(c.m * ldc, 3);
    const weight = { stored, storage, scales, block };
    const [got] = sameOnThreads(() => [multiply(native!.kernels.gemm, c, a, weight, before, 0)]);
    const unpackedFirst = before.slice();
    native!.kernels.gemm_f32(c.m, c.n, c.k, a, lda, c.ta, plain, ldb, c.tb, unpackedFirst, ldc, c.alpha, c.beta);
    expect(Buffer.from(got!.buffer).equals(Buffer.from(unpackedFirst.buffer))).toBe(true);
    const [expected, size] = product(c, a, plain, before);
    expectWithin(got!, expected, size, 4e-7);
  }

  it("multiply as if unpacked first, at odd sizes", () => {
    fc.assert(fc.property(cases(upTo(40), upTo(70), upTo(80)), check), property(100));
  });
  it("multiply as if unpacked first, one and few rows", () => {
    fc.assert(fc.property(cases(upTo(9), upTo(1100), upTo(300)), check), property(40));
  });
  it("multiply as if unpacked first, over several blocks of K", () => {
    fc.assert(fc.property(cases(upTo(20), upTo(40), upTo(1400, 200)), check), property(20));
  });
  it("multiply as if unpacked first where work is divided over threads", () => {
    fc.assert(fc.property(cases(upTo(220, 80), upTo(220, 80), upTo(200, 90)), check), property(8));
    check({ m: 64, n: 576, k: 640, ta: 0, tb: 1, beta: 0, alpha: 1, padding: 0 });
    check({ m: 64, n: 576, k: 640, ta: 0, tb: 0, beta: 1, alpha: 1, padding: 0 });
  });
  it("make rows of an embedding", () => {
    const [vocab, h] = [37, 21];
    const { stored, scales, block, plain } = make(vocab, h, 4);
    const ids = Int32Array.from({ length: 90 }, (_, i) => (i * 7) % vocab);
    const [rows] = sameOnThreads(() => {
      const out = new Float32Array(ids.length * h);
      expect(native!.kernels.embedding(stored, storage, scales, block, vocab, ids, ids.length, h, out)).toBe(-1);
      return [out];
    });
    for (const [i, id] of ids.entries())
      expect(rows!.subarray(i * h, (i + 1) * h)).toEqual(plain.subarray(id * h, (id + 1) * h));
  });
  it.each([1, 20])("make the loss of a head as if unpacked first, h = %i", (h) => {
    const [rows, vocab] = [25, 33];
    const { stored, scales, block, plain } = make(vocab, h, 5);
    const x = values(rows * h, 6);
    const targets = Int32Array.from({ length: rows }, (_, i) => (i % 5 === 2 ? -1 : (i * 11) % vocab));
    const run = (w: Stored, kind: Storage): readonly Float32Array[] => {
      const [loss, count] = [new Float64Array(1), new Float64Array(1)];
      const [dx, dw] = [new Float32Array(rows * h), new Float32Array(vocab * h)];
      const code = native!.kernels.cross_entropy(
        ...([x, w, kind, kind ? scales : null, block, 0, targets, rows, h, vocab, 7, loss, count, dx, dw] as const),
      );
      expect(code).toBe(0);
      return [Float32Array.from(loss), Float32Array.from(count), dx, dw];
    };
    expect(sameOnThreads(() => run(stored, storage))).toEqual(run(plain, 0));
  });
});

describe.skipIf(!native)("gemm", () => {
  it.each([0, 8, 48])("refuses NF4 and FP4 in blocks of %i", (block) => {
    const [a, out] = [new Float32Array(4), new Float32Array(4)];
    const codes = new Uint8Array(2);
    for (const kind of [4, 5] as const)
      expect(native!.kernels.gemm(2, 2, 2, a, 2, 0, codes, kind, a, block, 2, 1, out, 2, 1, 0, 0)).toBe(-2);
  });
  it.each([-1, 9])("refuses storage %i and leaves C alone", (storage) => {
    const out = new Float32Array(4).fill(5);
    const a = new Float32Array(4);
    const call = native!.kernels.gemm;
    const args = [2, 2, 2, a, 2, 0, a, storage, null, 0, 2, 1, out, 2, 1, 0, 0] as unknown as Parameters<typeof call>;
    expect(call(...args)).toBe(-2);
    expect(out).toEqual(new Float32Array(4).fill(5));
  });
});
