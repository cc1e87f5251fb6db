import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { available, expectWithin, native, property, sameOnThreads, values } from "./native-support.ts";

interface Case {
  rows: number;
  h: number;
  vocab: number;
  chunk: number;
  masked: number;
}

function reference(
  { rows, h, vocab }: Case,
  x: Float32Array,
  w: Float32Array,
  targets: Int32Array,
): [number, Float64Array, Float64Array] {
  let loss = 0;
  const dx = new Float64Array(rows * h);
  const dw = new Float64Array(vocab * h);
  for (let r = 0; r < rows; r++) {
    const target = targets[r]!;
    if (target < 0) continue;
    const logits = Array.from({ length: vocab }, (_, v) => {
      let sum = 0;
      for (let c = 0; c < h; c++) sum += x[r * h + c]! * w[v * h + c]!;
      return sum;
    });
    const top = logits.reduce((m, e) => Math.max(m, e));
    const total = logits.reduce((sum, e) => sum + Math.exp(e - top), 0);
    loss += top + Math.log(total) - logits[target]!;
    for (let v = 0; v < vocab; v++) {
      const g = Math.exp(logits[v]! - top) / total - (v === target ? 1 : 0);
      for (let c = 0; c < h; c++) {
        dx[r * h + c]! += g * w[v * h + c]!;
        dw[v * h + c]! += g * x[r * h + c]!;
      }
    }
  }
  return [loss, dx, dw];
}

const cases = fc.record({
  rows: fc.integer({ min: 1, max: 60 }),
  h: fc.integer({ min: 1, max: 40 }),
  vocab: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1000, max: 2200 })),
  chunk: fc.integer({ min: 1, max: 70 }),
  masked: fc.integer({ min: 1, max: 5 }),
});

const targetsOf = ({ rows, vocab, masked }: Case): Int32Array =>
  Int32Array.from({ length: rows }, (_, i) => (i % masked === 1 ? -100 : (i * 7919) % vocab));

describe.skipIf(!native).each(available)("cross_entropy on %s", (level) => {
  const k = native!.kernels;
  beforeAll(() => void native!.select(level));

  it("agrees with f64 in loss, count and gradients, for any chunk", () => {
    fc.assert(
      fc.property(cases, (c) => {
        const [x, w, targets] = [values(c.rows * c.h, 1, 2), values(c.vocab * c.h, 2, 2), targetsOf(c)];
        const losses: number[] = [];
        const [dx, dw] = sameOnThreads(() => {
          const [a, b] = [new Float32Array(x.length).fill(Number.NaN), new Float32Array(w.length).fill(1)];
          const [loss, count] = [new Float64Array(1), new Float64Array(1)];
          expect(k.cross_entropy(x, w, 0, null, 0, 0, targets, c.rows, c.h, c.vocab, c.chunk, loss, count, a, b)).toBe(
            0,
          );
          expect(count[0]).toBe(targets.filter((t) => t >= 0).length);
          losses.push(loss[0]!);
          return [a, b] as const;
        });
        const alone = new Float64Array(1);
        expect(
          k.cross_entropy(
            x,
            w,
            0,
            null,
            0,
            0,
            targets,
            c.rows,
            c.h,
            c.vocab,
            c.chunk,
            alone,
            new Float64Array(1),
            null,
            null,
          ),
        ).toBe(0);
        losses.push(alone[0]!);
        expect(new Set(losses).size).toBe(1);
        const [loss, exactDx, exactDw] = reference(c, x, w, targets);
        expect(Math.abs(losses[0]! - loss)).toBeLessThanOrEqual(3e-6 * (loss + c.rows));
        expectWithin(dx!, exactDx, 4, 3e-6);
        expectWithin(
          dw!,
          exactDw.map((e) => e + 1),
          1 + 2 * c.rows,
          3e-6,
        ); // added to the ones that were there
        for (const [r, t] of targets.entries())
          if (t < 0) expect(dx!.subarray(r * c.h, (r + 1) * c.h).every((e) => e === 0)).toBe(true);
      }),
      property(40),
    );
  });

  it("never looks at rows without a target, and shows NaN in the others", () => {
    const c = { rows: 20, h: 8, vocab: 50, chunk: 6, masked: 2 };
    const [w, targets] = [values(400, 2), targetsOf(c)];
    const run = (x: Float32Array): number => {
      const loss = new Float64Array(1);
      k.cross_entropy(
        x,
        w,
        0,
        null,
        0,
        0,
        targets,
        c.rows,
        c.h,
        c.vocab,
        c.chunk,
        loss,
        new Float64Array(1),
        null,
        null,
      );
      return loss[0]!;
    };
    const x = values(160, 1);
    const clean = run(x);
    for (const [r, t] of targets.entries()) {
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const broken = x.slice();
        broken[r * 8 + 3] = bad;
        if (t < 0) expect(run(broken)).toBe(clean);
        else expect(run(broken)).toBeNaN();
      }
    }
  });

  it("gives 0 without targets and refuses a target outside the vocabulary, writing nothing", () => {
    const [x, w] = [values(24, 1), values(40, 2)];
    const [loss, count, dx] = [Float64Array.of(7), Float64Array.of(7), new Float32Array(24).fill(7)];
    expect(k.cross_entropy(x, w, 0, null, 0, 0, Int32Array.of(0, 10, 1), 3, 8, 5, 2, loss, count, dx, null)).toBe(-2);
    expect([loss[0], count[0], ...dx]).toEqual(new Array(26).fill(7));
    expect(k.cross_entropy(x, w, 0, null, 0, 0, Int32Array.of(-1, -100, -1), 3, 8, 5, 2, loss, count, dx, null)).toBe(
      0,
    );
    expect([loss[0], count[0], ...dx]).toEqual(new Array(26).fill(0));
  });

  it("keeps the loss exact where logits are large", () => {
    const h = 4;
    const x = Float32Array.of(1000, 0, 0, 0, -1000, 0, 0, 0);
    const w = Float32Array.of(1, 0, 0, 0, 0.5, 0, 0, 0, -1, 0, 0, 0);
    const loss = new Float64Array(1);
    expect(
      k.cross_entropy(x, w, 0, null, 0, 0, Int32Array.of(1, 2), 2, h, 3, 2, loss, new Float64Array(1), null, null),
    ).toBe(0);
    expect(loss[0]).toBe(500);
  });
});
