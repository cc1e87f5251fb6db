import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Batch, type BatchesOptions, batches, type Example, epochOrder, packBestFit } from "../index.ts";

/** Example i with tokens i·1000, i·1000 + 1, ... of which every one but the first is learnt. */
function example(length: number, i: number): Example {
  const tokens = Int32Array.from({ length }, (_, k) => i * 1000 + k + 1);
  const targets = Int32Array.from({ length }, (_, k) => (k + 1 < length ? i * 1000 + k + 2 : -100));
  return { tokens, targets, cut: 0, source: { file: "x", row: i + 1 } };
}

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 50 });
const sizes: fc.Arbitrary<{ batchSize?: number; batchTokens?: number }> = fc.oneof(
  fc.record({ batchSize: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ batchTokens: fc.integer({ min: 40, max: 300 }) }),
);

/** Checks one batch against the definition of its fields and returns the segments it holds, as token lists. */
function segmentsOf(batch: Batch, examples: readonly Example[]): number[][] {
  const found: number[][] = [];
  let targetTokens = 0;
  for (let r = 0; r < batch.batch; r++) {
    let expected = 0;
    for (let c = 0; c < batch.seq; c++) {
      const at = r * batch.seq + c;
      const segment = batch.segments[at]!;
      if (batch.targets[at] !== -100) targetTokens++;
      if (segment === 0) {
        expect([batch.tokens[at], batch.targets[at], batch.positions[at]]).toEqual([0, -100, 0]);
        expect(batch.segments.slice(at, (r + 1) * batch.seq).every((s) => s === 0)).toBe(true);
        continue;
      }
      if (segment !== expected) {
        expect(segment).toBe(expected + 1);
        expected = segment;
        found.push([]);
      }
      const held = examples[batch.rows[found.length - 1]!]!;
      const k = found.at(-1)!.length;
      expect([batch.tokens[at], batch.targets[at], batch.positions[at]]).toEqual([held.tokens[k], held.targets[k], k]);
      found.at(-1)!.push(batch.tokens[at]!);
    }
  }
  expect(batch.targetTokens).toBe(targetTokens);
  expect(found.length).toBe(batch.rows.length);
  return found;
}

describe("batches", () => {
  it("shows every token of every example exactly once an epoch, packed or not, by rows or by tokens", () => {
    fc.assert(
      fc.property(lengths, sizes, fc.boolean(), fc.nat(1000), fc.nat(3), (list, size, packing, seed, epoch) => {
        const examples = list.map(example);
        const plan = batches({ examples, seed, maxLength: 40, packing, ...size });
        const made = Array.from({ length: plan.perEpoch }, (_, i) => plan.batchAt(epoch * plan.perEpoch + i));
        const shown = made.flatMap((batch) => segmentsOf(batch, examples));
        const byFirst = (a: number[], b: number[]): number => a[0]! - b[0]!;
        expect(shown.sort(byFirst)).toEqual(examples.map((e) => Array.from(e.tokens)).sort(byFirst));
        for (const batch of made) {
          const longest = Math.max(
            ...Array.from(
              { length: batch.batch },
              (_, r) => batch.segments.slice(r * batch.seq, (r + 1) * batch.seq).filter((s) => s > 0).length,
            ),
          );
          expect(batch.seq).toBe(Math.min(40, Math.ceil(longest / 8) * 8));
          if (size.batchSize !== undefined) expect(batch.batch).toBeLessThanOrEqual(size.batchSize);
          if (size.batchTokens !== undefined) expect(batch.batch * batch.seq).toBeLessThanOrEqual(size.batchTokens);
        }
      }),
      { seed: 9, numRuns: 300 },
    );
  });

  it("gives any micro-batch without those before it, and the same one again", () => {
    const examples = Array.from({ length: 37 }, (_, i) => example(3 + ((i * 7) % 30), i));
    for (const options of [{ batchSize: 4 }, { batchTokens: 120 }, { batchSize: 2, packing: true }]) {
      const make = () => batches({ examples, seed: 4, maxLength: 40, ...options });
      const one = make();
      const inOrder = Array.from({ length: 3 * one.perEpoch }, (_, step) => one.batchAt(step));
      for (const step of [2 * one.perEpoch + 1, 0, one.perEpoch, 3])
        expect(make().batchAt(step)).toEqual(inOrder[step]);
    }
  });

  it("orders every epoch differently, and another seed differently", () => {
    const examples = Array.from({ length: 64 }, (_, i) => example(8, i));
    const rows = (options: Partial<BatchesOptions>, epoch: number): number[] => {
      const plan = batches({ examples, seed: 1, maxLength: 16, batchSize: 8, ...options });
      return Array.from({ length: plan.perEpoch }, (_, i) => plan.layoutAt(epoch * plan.perEpoch + i).flat()).flat();
    };
    for (const packing of [false, true]) {
      expect(rows({ packing }, 0)).not.toEqual(rows({ packing }, 1));
      expect(rows({ packing }, 0)).not.toEqual(rows({ packing, seed: 2 }, 0));
    }
    expect(rows({ shuffle: false }, 3)).toEqual(Array.from({ length: 64 }, (_, i) => i));
    expect(Array.from(epochOrder(64, 1, 0))).toEqual(rows({}, 0));
  });

  it("packs rows full", () => {
    const examples = [10, 30, 20, 20, 25, 15].map(example);
    const plan = batches({ examples, seed: 1, maxLength: 40, batchSize: 1, packing: true });
    expect(plan.perEpoch).toBe(3);
    expect(packBestFit([0, 1, 2, 3, 4, 5], [10, 30, 20, 20, 25, 15], 40)).toEqual([
      [1, 0],
      [4, 5],
      [2, 3],
    ]);
  });

  it.each([
    [{ maxLength: 40 }, /a micro-batch needs one size/],
    [{ maxLength: 40, batchSize: 1, batchTokens: 80 }, /a micro-batch needs one size/],
    [{ maxLength: 40, batchSize: 0 }, /batchSize is 0/],
    [{ maxLength: 20, batchSize: 1 }, /maxLength is 20, but an example has 30 tokens/],
    [{ maxLength: 40, batchTokens: 31 }, /batchTokens is 31, but one row takes 32/],
    [{ maxLength: 40, batchTokens: 39, packing: true }, /batchTokens is 39, but one row takes 40/],
    [{ maxLength: 40, batchSize: 1, examples: [] }, /no examples/],
  ])("refuses %j", (options, message) => {
    expect(() => batches({ examples: [example(30, 0)], seed: 1, ...options })).toThrow(message);
  });

  it("refuses a micro-batch that does not exist", () => {
    expect(() => batches({ examples: [example(30, 0)], seed: 1, maxLength: 40, batchSize: 1 }).batchAt(-1)).toThrow(
      /no micro-batch -1/,
    );
  });
});
