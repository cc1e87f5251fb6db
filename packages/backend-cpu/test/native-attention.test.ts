import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { available, expectWithin, native, property, sameOnThreads, values } from "./native-support.ts";

interface Sizes {
  b: number;
  s: number;
  hk: number;
  group: number;
  d: number;
}

/** y, lse and gradients in f64 from the whole score matrix, one head at a time. */
function reference(
  { b, s, hk, group, d }: Sizes,
  [q, k, v, dy]: readonly Float32Array[],
  segments: Int32Array | null,
  scale: number,
): Float64Array[] {
  const h = hk * group;
  const y = new Float64Array(b * s * h * d);
  const lse = new Float64Array(b * h * s);
  const dq = new Float64Array(y.length);
  const dk = new Float64Array(b * s * hk * d);
  const dv = new Float64Array(dk.length);
  for (let n = 0; n < b; n++)
    for (let head = 0; head < h; head++)
      for (let i = 0; i < s; i++) {
        const qi = ((n * s + i) * h + head) * d;
        const keys: number[] = [];
        for (let j = 0; j <= i; j++) if (!segments || segments[n * s + i] === segments[n * s + j]) keys.push(j);
        const at = (j: number): number => ((n * s + j) * hk + Math.floor(head / group)) * d;
        const dot = (x: ArrayLike<number>, xi: number, z: ArrayLike<number>, zi: number): number => {
          let sum = 0;
          for (let c = 0; c < d; c++) sum += x[xi + c]! * z[zi + c]!;
          return sum;
        };
        const scores = keys.map((j) => scale * dot(q!, qi, k!, at(j)));
        const top = Math.max(...scores);
        const total = scores.reduce((sum, e) => sum + Math.exp(e - top), 0);
        const p = scores.map((e) => Math.exp(e - top) / total);
        lse[(n * h + head) * s + i] = top + Math.log(total);
        for (const [u, j] of keys.entries()) for (let c = 0; c < d; c++) y[qi + c]! += p[u]! * v![at(j) + c]!;
        const dp = keys.map((j) => dot(dy!, qi, v!, at(j)));
        const mean = p.reduce((sum, e, u) => sum + e * dp[u]!, 0);
        for (const [u, j] of keys.entries()) {
          const ds = p[u]! * (dp[u]! - mean) * scale;
          for (let c = 0; c < d; c++) {
            dq[qi + c]! += ds * k![at(j) + c]!;
            dk[at(j) + c]! += ds * q![qi + c]!;
            dv[at(j) + c]! += p[u]! * dy![qi + c]!;
          }
        }
      }
  return [y, lse, dq, dk, dv];
}

function inputs({ b, s, hk, group, d }: Sizes): Float32Array[] {
  return [
    values(b * s * hk * group * d, 1, 2),
    ...[2, 3].map((seed) => values(b * s * hk * d, seed, 2)),
    values(b * s * hk * group * d, 4),
  ];
}

function run(
  z: Sizes,
  [q, k, v, dy]: readonly Float32Array[],
  segments: Int32Array | null,
  scale: number,
): Float32Array[] {
  const h = z.hk * z.group;
  return sameOnThreads(() => {
    const y = new Float32Array(q!.length).fill(Number.NaN);
    const lse = new Float32Array(z.b * h * z.s);
    const [dq, dk, dv] = [q!, k!, v!].map((x) => new Float32Array(x.length).fill(Number.NaN));
    native!.kernels.attention_fwd(q!, k!, v!, segments, z.b, z.s, h, z.hk, z.d, scale, y, lse);
    native!.kernels.attention_bwd(q!, k!, v!, segments, y, lse, dy!, z.b, z.s, h, z.hk, z.d, scale, dq!, dk!, dv!);
    return [y, lse, dq!, dk!, dv!];
  });
}

const anySizes = fc.record({
  b: fc.integer({ min: 1, max: 2 }),
  s: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 60, max: 150 })),
  hk: fc.integer({ min: 1, max: 2 }),
  group: fc.integer({ min: 1, max: 3 }),
  d: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(64, 80, 128, 256)),
});

describe.skipIf(!native).each(available)("attention on %s", (level) => {
  beforeAll(() => void native!.select(level));

  it("agrees with f64 in y, lse and all gradients, with any segments", () => {
    fc.assert(
      fc.property(anySizes, fc.constantFrom("none", "packed", "scattered"), (z, kind) => {
        const segments =
          kind === "none"
            ? null
            : Int32Array.from({ length: z.b * z.s }, (_, i) =>
                kind === "packed" ? Math.floor((i % z.s) / 37) : (i * 7) % 3,
              );
        const all = inputs(z);
        const scale = 1 / Math.sqrt(z.d);
        const got = run(z, all, segments, scale);
        const expected = reference(z, all, segments, scale);
        const tolerances = [2e-6, 2e-6, 1e-5, 1e-5, 1e-5]; // relative to the largest element of each
        for (const [i, exact] of expected.entries()) {
          const largest = exact.reduce((m, e) => Math.max(m, Math.abs(e)), 1);
          expectWithin(got[i]!, exact, largest, tolerances[i]!);
        }
      }),
      property(24),
    );
  });

  it("stays exact where scores are huge", () => {
    const z = { b: 1, s: 100, hk: 1, group: 1, d: 16 };
    const all = inputs(z).map((x) => x.map((e) => e * 30));
    const got = run(z, all, null, 1);
    const [y, lse] = reference(z, all, null, 1);
    const most = lse!.reduce((m, e) => Math.max(m, Math.abs(e)), 1);
    expectWithin(got[1]!, lse!, most, 1e-6);
    // an error of 1e-6 in a score of some thousands changes a weight by some 1e-3
    expectWithin(got[0]!, y!, 60, 5e-3);
  });

  it("is not changed at all by another segment", () => {
    const z = { b: 1, s: 150, hk: 2, group: 2, d: 24 };
    const segments = Int32Array.from({ length: 150 }, (_, i) => (i < 70 ? 1 : 2));
    const all = inputs(z);
    const edited = all.map((x, i) => {
      const row = x.length / 150;
      return x.map((e, j) => (j < 70 * row ? e * 3 + i : e));
    });
    const [before, after] = [run(z, all, segments, 0.2), run(z, edited, segments, 0.2)];
    for (const i of [0, 2, 3, 4]) {
      const row = before[i]!.length / 150;
      expect(after[i]!.subarray(70 * row)).toEqual(before[i]!.subarray(70 * row));
      expect(after[i]!.subarray(0, 70 * row)).not.toEqual(before[i]!.subarray(0, 70 * row));
    }
  });

  it("shows NaN in what depends on it, and nowhere before", () => {
    const z = { b: 1, s: 80, hk: 1, group: 1, d: 8 };
    const all = inputs(z);
    all[0]![70 * 8] = Number.NaN;
    const [y, lse, dq] = run(z, all, null, 1);
    expect(lse!.map((e, i) => (Number.isNaN(e) ? i : -1)).filter((i) => i >= 0)).toEqual(Float32Array.of(70));
    expect(Number.isNaN(y![70 * 8])).toBe(true);
    expect(y!.subarray(0, 70 * 8).every(Number.isFinite)).toBe(true);
    expect(Number.isNaN(dq![70 * 8])).toBe(true);
  });

  it("over a cache gives the last rows of the whole, each batch item from its own start", () => {
    fc.assert(
      fc.property(anySizes, fc.integer({ min: 1, max: 30 }), (z, wanted) => {
        const h = z.hk * z.group;
        const sq = Math.min(wanted, z.s);
        const capacity = z.s + 5;
        const all = inputs(z);
        const scale = 1 / Math.sqrt(z.d);
        const [y] = reference(z, all, null, scale);
        // batch item r ends r tokens earlier, where there are enough
        const start = Int32Array.from({ length: z.b }, (_, r) => Math.max(0, z.s - sq - r));
        const width = z.hk * z.d;
        const cache = all.slice(1, 3).map((x) => {
          const out = new Float32Array(z.b * capacity * width).fill(Number.NaN);
          for (let r = 0; r < z.b; r++)
            out.set(x.subarray(r * z.s * width, (r * z.s + start[r]! + sq) * width), r * capacity * width);
          return out;
        });
        // in a tile, an unseen place has weight 0; it must hold a number, as a zeroed cache does
        for (const x of cache) for (let i = 0; i < x.length; i++) if (Number.isNaN(x[i])) x[i] = 0;
        const part = (x: ArrayLike<number>): number[] => {
          const out: number[] = [];
          for (let r = 0; r < z.b; r++)
            for (let e = 0; e < sq * h * z.d; e++) out.push(x[(r * z.s + start[r]!) * h * z.d + e]!);
          return out;
        };
        const q = Float32Array.from(part(all[0]!));
        const [got] = sameOnThreads(() => {
          const out = new Float32Array(q.length);
          native!.kernels.attention_cached(q, cache[0]!, cache[1]!, start, z.b, sq, capacity, h, z.hk, z.d, scale, out);
          return [out];
        });
        expectWithin(got!, part(y!), 2, 2e-6);
      }),
      property(30),
    );
  });
});
