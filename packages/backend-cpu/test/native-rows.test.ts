import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "@ft/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { available, expectWithin, native, property, sameOnThreads, values } from "./native-support.ts";

const rowsAndColumns = fc.tuple(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 300 }));
const sum = (n: number, f: (i: number) => number): number => {
  let total = 0;
  for (let i = 0; i < n; i++) total += f(i);
  return total;
};

describe.skipIf(!native).each(available)("row kernels on %s", (level) => {
  const k = native!.kernels;
  beforeAll(() => void native!.select(level));

  it("rmsNorm and its gradients agree with f64", () => {
    fc.assert(
      fc.property(rowsAndColumns, ([rows, h]) => {
        const [x, w, dy, eps] = [values(rows * h, 1), values(h, 2), values(rows * h, 3), 1e-5];
        const [y, rstd, dx, dw, inPlace] = sameOnThreads(() => {
          const [a, b, c, d] = [x.slice(), new Float32Array(rows), new Float32Array(rows * h), new Float32Array(h)];
          k.rmsnorm_fwd(a, w, eps, rows, h, a, b);
          k.rmsnorm_bwd(x, w, b, dy, rows, h, c, d);
          const e = dy.slice();
          k.rmsnorm_bwd(x, w, b, e, rows, h, e, null);
          k.rmsnorm_bwd(x, w, b, dy, rows, h, null, d);
          return [a, b, c, d, e] as const;
        });
        const at = (r: number, i: number): number => x[r * h + i]!;
        const scale = Array.from({ length: rows }, (_, r) => 1 / Math.sqrt(sum(h, (i) => at(r, i) ** 2) / h + eps));
        const row = (e: number): number => Math.floor(e / h);
        const big = Array.from(x, (_, e) => 1 + scale[row(e)]!);
        expectWithin(rstd!, scale, scale, 1e-6);
        expectWithin(
          y!,
          Array.from(x, (v, e) => v * scale[row(e)]! * w[e % h]!),
          big,
          1e-6,
        );
        const along = scale.map((s, r) => (sum(h, (i) => w[i]! * dy[r * h + i]! * at(r, i)) * s ** 3) / h);
        const exact = Array.from(x, (v, e) => scale[row(e)]! * w[e % h]! * dy[e]! - v * along[row(e)]!);
        expectWithin(dx!, exact, big, 4e-6);
        expect(inPlace).toEqual(dx);
        const columns = Array.from({ length: h }, (_, i) => sum(rows, (r) => dy[r * h + i]! * at(r, i) * scale[r]!));
        const sizes = Array.from({ length: h }, (_, i) => 1 + sum(rows, (r) => Math.abs(at(r, i) * scale[r]!)));
        expectWithin(dw!, columns, sizes, 2e-6);
      }),
      property(40),
    );
  });

  it("rope rotates halves by position times frequency, and back", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 40 }),
        (tokens, heads, half) => {
          const d = 2 * half;
          const x = values(tokens * heads * d, 1);
          const positions = Int32Array.from({ length: tokens }, (_, t) => (t * 977) % 8192);
          const frequencies = Float32Array.from({ length: half }, (_, i) => 10_000 ** (-i / half));
          const [y, back] = sameOnThreads(() => {
            const out = x.slice();
            k.rope(out, positions, frequencies, tokens, heads, d, 1, out);
            const again = new Float32Array(out.length);
            k.rope(out, positions, frequencies, tokens, heads, d, -1, again);
            return [out, again] as const;
          });
          const exact = Array.from(x, (v, e) => {
            const i = e % d;
            // the angle is an f32 product: its rounding is part of the definition (as in transformers)
            const angle = Math.fround(positions[Math.floor(e / (heads * d))]! * frequencies[i % half]!);
            return i < half
              ? v * Math.cos(angle) - x[e + half]! * Math.sin(angle)
              : v * Math.cos(angle) + x[e - half]! * Math.sin(angle);
          });
          expectWithin(y!, exact, 1, 3e-7);
          expectWithin(back!, x, 1, 6e-7);
        },
      ),
      property(40),
    );
  });

  it("rope rounds sine and cosine once, at any position", () => {
    const half = 31;
    const frequencies = Float32Array.from({ length: half }, (_, i) => 10_000 ** (-i / half));
    const positions = Int32Array.from({ length: 2000 }, (_, t) => t * 521);
    const x = Float32Array.from({ length: positions.length * 2 * half }, (_, e) => (e % (2 * half) < half ? 1 : 0));
    const y = new Float32Array(x.length);
    k.rope(x, positions, frequencies, positions.length, 1, 2 * half, 1, y);
    const exact = Array.from(y, (_, e) => {
      const i = e % (2 * half);
      const angle = Math.fround(positions[Math.floor(e / (2 * half))]! * frequencies[i % half]!);
      return i < half ? Math.cos(angle) : Math.sin(angle);
    });
    expectWithin(y, exact, 1, 2 ** -25 + 1e-10);
  });

  it("embedding copies rows and refuses ids outside the table", () => {
    const [vocab, h] = [13, 37];
    const table = values(vocab * h, 1);
    const ids = Int32Array.from({ length: 100 }, (_, i) => (i * 5) % vocab);
    const [out] = sameOnThreads(() => {
      const rows = new Float32Array(100 * h);
      expect(k.embedding(table, 0, null, 0, vocab, ids, 100, h, rows)).toBe(-1);
      return [rows];
    });
    for (const [i, id] of ids.entries())
      expect(out!.subarray(i * h, (i + 1) * h)).toEqual(table.subarray(id * h, (id + 1) * h));
    for (const bad of [-1, vocab, 2 ** 31 - 1]) {
      const wrong = ids.slice();
      wrong[42] = bad;
      const untouched = new Float32Array(100 * h).fill(5);
      expect(k.embedding(table, 0, null, 0, vocab, wrong, 100, h, untouched)).toBe(42);
      expect(untouched.every((e) => e === 5)).toBe(true);
    }
  });

  it("the gradient of embedding adds rows in order and skips negative ids", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 300 }), (n, h) => {
        const vocab = 7;
        const dy = values(n * h, 2);
        const ids = Int32Array.from({ length: n }, (_, i) => ((i * 11) % 9) - 2);
        const [got] = sameOnThreads(() => {
          const out = new Float32Array(vocab * h).fill(Number.NaN);
          expect(k.embedding_bwd(dy, ids, n, h, vocab, out, 0, 0)).toBe(-1);
          return [out];
        });
        const expected = new Float32Array(vocab * h);
        for (const [i, id] of ids.entries())
          if (id >= 0) for (let c = 0; c < h; c++) expected[id * h + c]! += dy[i * h + c]!;
        expect(got).toEqual(expected);
        ids[n - 1] = vocab;
        expect(k.embedding_bwd(dy, ids, n, h, vocab, expected, 0, 0)).toBe(n - 1);
      }),
      property(30),
    );
  });

  it("the gradient of embedding adds onto rows that are there, and rounds a row once to bf16 and f16", () => {
    const [vocab, h, n] = [9, 261, 100];
    const [dy, before] = [values(n * h, 3), values(vocab * h, 4)];
    const ids = Int32Array.from({ length: n }, (_, i) => ((i * 7) % 8) - 1); // row 7 and 8 are never named
    const sums = new Float32Array(vocab * h);
    for (const [i, id] of ids.entries()) if (id >= 0) for (let c = 0; c < h; c++) sums[id * h + c]! += dy[i * h + c]!;
    const kinds = [
      [0, (x: Float32Array) => x, (x: Float32Array) => x],
      [1, f32ToBf16, bf16ToF32],
      [2, f32ToF16, f16ToF32],
    ] as const;
    for (const [storage, narrow, widen] of kinds) {
      const had = narrow(before);
      const wide = widen(had as Float32Array & Uint16Array);
      for (const beta of [0, 1] as const) {
        const expected = narrow(sums.map((x, i) => (beta ? wide[i]! + x : x)));
        sameOnThreads(() => {
          const table = had.slice();
          expect(k.embedding_bwd(dy, ids, n, h, vocab, table, storage, beta)).toBe(-1);
          expect(Buffer.from(table.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
          return [];
        });
      }
    }
  });
});
