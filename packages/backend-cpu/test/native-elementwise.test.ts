import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16, philox } from "@ft/tensor";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { available, expectWithin, native, property, sameOnThreads, values } from "./native-support.ts";

/** tails of every length, and sizes that several threads share */
const sizes = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 65_000, max: 100_000 }));
const kinds = ["add", "sub", "mul", "div", "min", "max"] as const;
const inDouble = [
  (a: number, b: number) => a + b,
  (a: number, b: number) => a - b,
  (a: number, b: number) => a * b,
  (a: number, b: number) => a / b,
  Math.min,
  Math.max,
];
const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 1, -2.5, 3e38, 1e-40];

describe.skipIf(!native).each(available)("elementwise kernels on %s", (level) => {
  const k = native!.kernels;
  beforeAll(() => void native!.select(level));

  it.each(kinds.map((kind, i) => [kind, i] as const))("%s rounds the exact result, in place too", (_kind, i) => {
    const f = inDouble[i]!;
    fc.assert(
      fc.property(sizes, (n) => {
        const [a, b] = [values(n, 1), values(n, 2)];
        const [out, scalar] = sameOnThreads(() => {
          const [inPlace, other] = [a.slice(), new Float32Array(n)];
          k.binary_f32(i, inPlace, b, inPlace, n);
          k.binary_scalar_f32(i, a, 0.3, other, n);
          return [inPlace, other] as const;
        });
        const three = Math.fround(0.3);
        for (let e = 0; e < n; e++) {
          if (out[e] !== Math.fround(f(a[e]!, b[e]!))) expect(out[e]).toBe(Math.fround(f(a[e]!, b[e]!)));
          if (scalar[e] !== Math.fround(f(a[e]!, three))) expect(scalar[e]).toBe(Math.fround(f(a[e]!, three)));
        }
      }),
      property(12),
    );
  });

  it("treats NaN and Inf as IEEE 754 does", () => {
    const a = Float32Array.from(special.flatMap((x) => special.map(() => x)));
    const b = Float32Array.from(special.flatMap(() => special));
    for (const [i, f] of inDouble.entries()) {
      const out = new Float32Array(a.length);
      k.binary_f32(i, a, b, out, a.length);
      expect([...out]).toEqual([...a].map((x, e) => Math.fround(f(x, b[e]!))));
    }
  });

  it("add, scale and axpy are their formulas", () => {
    const n = 70_001;
    const [x, y] = [values(n, 1), values(n, 2)];
    const [sum, scaled, axpy] = sameOnThreads(() => {
      const [s, t, u] = [new Float32Array(n), x.slice(), y.slice()];
      k.add_f32(x, y, s, n);
      k.scale_f32(0.7, t, t, n);
      k.axpy_f32(-1.5, x, u, n);
      return [s, t, u] as const;
    });
    expect(sum).toEqual(x.map((e, i) => e + y[i]!));
    expect(scaled).toEqual(x.map((e) => e * Math.fround(0.7)));
    expect(axpy).toEqual(y.map((e, i) => Math.fround(-1.5 * x[i]!) + e));
  });

  it("casts every 16-bit pattern, and narrows ties and specials as the reference does", () => {
    const patterns = Uint16Array.from({ length: 65_536 }, (_, i) => i);
    const wide = [new Float32Array(65_536), new Float32Array(65_536)] as const;
    k.cast_bf16_f32(patterns, wide[0], 65_536);
    k.cast_f16_f32(patterns, wide[1], 65_536);
    expect(wide[0]).toEqual(bf16ToF32(patterns));
    expect(wide[1]).toEqual(f16ToF32(patterns));
    // every f16 value, the middle to its neighbour, and the f32 on either side of that middle
    const probes = new Float32Array(4 * 65_536 + special.length);
    const words = new Uint32Array(probes.buffer);
    for (let i = 0; i < 65_536; i++) {
      probes[4 * i] = wide[1][i]!;
      probes[4 * i + 1] = (wide[1][i]! + wide[1][Math.min(i + 1, 65_535)]!) / 2;
      words[4 * i + 2] = words[4 * i + 1]! + 1;
      words[4 * i + 3] = words[4 * i + 1]! - 1;
    }
    probes.set(special, 4 * 65_536);
    const bf16Probes = probes.slice();
    const bf16Words = new Uint32Array(bf16Probes.buffer);
    for (let i = 0; i < 65_536; i++)
      for (let j = 0; j < 4; j++) bf16Words[4 * i + j] = ((i << 16) | [0, 0x8000, 0x8001, 0x7fff][j]!) >>> 0;
    const narrow = new Uint16Array(probes.length);
    k.cast_f32_f16(probes, narrow, probes.length);
    sameBits(narrow, f32ToF16(probes), 0x7c00);
    k.cast_f32_bf16(bf16Probes, narrow, probes.length);
    sameBits(narrow, f32ToBf16(bf16Probes), 0x7f80);
  });

  it("swiglu and its gradient agree with f64, in place too", () => {
    fc.assert(
      fc.property(sizes, (n) => {
        const [gate, up, dy] = [values(n, 1, 20), values(n, 2), values(n, 3)];
        const [y, dgate, dup] = sameOnThreads(() => {
          const [out, dg, du] = [new Float32Array(n), gate.slice(), up.slice()];
          k.swiglu_fwd(gate, up, n, out);
          k.swiglu_bwd(dg, du, dy, n, dg, du);
          return [out, dg, du] as const;
        });
        const exact = Array.from(gate, (g, i) => {
          const s = 1 / (1 + Math.exp(-g));
          return [g * s * up[i]!, dy[i]! * up[i]! * s * (1 + g * (1 - s)), dy[i]! * g * s];
        });
        const scale = Array.from(gate, (g) => Math.min(1, Math.exp(g)) * (1 + Math.abs(g)));
        expectWithin(
          y!,
          exact.map((e) => e[0]!),
          scale,
          5e-7,
        );
        expectWithin(
          dgate!,
          exact.map((e) => e[1]!),
          scale,
          8e-7,
        );
        expectWithin(
          dup!,
          exact.map((e) => e[2]!),
          scale,
          5e-7,
        );
      }),
      property(10),
    );
    const out = new Float32Array(4);
    k.swiglu_fwd(Float32Array.of(Number.NaN, 1, 200, -200), Float32Array.of(1, Number.NaN, 1, 1), 4, out);
    expect([...out]).toEqual([Number.NaN, Number.NaN, 200, -0]);
  });

  it("its exponential is within 2 ulp over the whole range", () => {
    // silu(-x) * up / x = 1 / (1 + e^x): for large x, e^-x to one division and one addition; here read back directly
    const n = 400_000;
    const gate = Float32Array.from({ length: n }, (_, i) => -86 + (i / n) * 69);
    const out = new Float32Array(n);
    k.swiglu_fwd(
      gate,
      gate.map((g) => 1 / g),
      n,
      out,
    );
    let worst = 0;
    for (let i = 0; i < n; i++) {
      const exact = (gate[i]! / (1 + Math.exp(-gate[i]!))) * Math.fround(1 / gate[i]!);
      worst = Math.max(worst, Math.abs(out[i]! - exact) / exact / 2 ** -23);
    }
    // 2 ulp of e^x, and half an ulp (at most 2^-24 relative to 2^-23) for each of +, /, *, *
    expect(worst).toBeLessThan(2 + 4 * 0.5);
  });

  it("draws the documented Philox numbers and drops by them", () => {
    const n = 70_003;
    const [seed, stream, step] = [0xdeadbeef, 7, 4_000_000_000];
    const uniform = philox(seed, stream, step);
    const x = values(n, 4).map((e) => e + 2);
    const [u, kept] = sameOnThreads(() => {
      const [a, b] = [new Float32Array(n), x.slice()];
      k.philox_uniform(seed, stream, step, n, a);
      k.dropout(b, 0.3, seed, stream, step, n, b);
      return [a, b] as const;
    });
    const expected = Float32Array.from({ length: n }, (_, i) => uniform(i));
    expect(u).toEqual(expected);
    const scale = Math.fround(1 / 0.7);
    expect(kept).toEqual(x.map((e, i) => (0.3 <= expected[i]! ? e * scale : 0)));
    // the boundary: an element whose number equals the rate stays, half a step further it goes
    for (let i = 0; i < 8; i++) {
      const few = x.slice(0, 8);
      k.dropout(few, expected[i]!, seed, stream, step, 8, few);
      expect(few[i]).not.toBe(0);
      k.dropout(few, expected[i]! + 2 ** -25, seed, stream, step, 8, few);
      expect(few[i]).toBe(0);
    }
    const all = x.slice();
    k.dropout(x, 0, seed, stream, step, n, all);
    expect(all).toEqual(x);
  });

  it("sums squares in f64 and sees what is not finite, at every place of a vector", () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 3_000_000, max: 3_100_000 })), (n) => {
        const x = values(n, 9, 1e3);
        const sums = [1, 2, 3].map((threads) => {
          native!.setThreads(threads);
          return k.sumsq_f64(x, n);
        });
        expect(new Set(sums).size).toBe(1);
        const exact = x.reduce((sum, e) => sum + e * e, 0);
        expect(Math.abs(sums[0]! - exact)).toBeLessThanOrEqual(1e-12 * exact);
        expect(k.isfinite(x, n)).toBe(1);
      }),
      property(6),
    );
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      for (let at = 0; at < 35; at++) {
        const x = new Float32Array(35).fill(3e38);
        expect(k.isfinite(x, 35)).toBe(1);
        x[at] = bad;
        expect(k.isfinite(x, 35)).toBe(0);
      }
  });
});

/** Equal patterns, except that any NaN stands for any other. */
function sameBits(actual: Uint16Array, expected: Uint16Array, infinity: number): void {
  for (let i = 0; i < expected.length; i++) {
    const bothNaN = (actual[i]! & 0x7fff) > infinity && (expected[i]! & 0x7fff) > infinity;
    if (actual[i] !== expected[i] && !bothNaN) expect([i, actual[i]]).toEqual([i, expected[i]]);
  }
}
