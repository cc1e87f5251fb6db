import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import { bf16ToF32, f32ToBf16, memory, type Parameter, parameter, philox, run, scalar, tensor } from "@ft/tensor";
import { roundBlock, roundStochasticOp } from "@ft/tensor/ops";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { adamw } from "../adamw/adamw.ts";
import { sgd } from "../sgd/sgd.ts";
import { OptimizerState } from "../state.ts";
import { withStochasticRounding } from "./stochastic.ts";

let cpu: CpuBackend;
beforeEach(async () => {
  cpu = await createCpuBackend({ native: false, poison: true });
});
afterEach(() => expect(memory(cpu).live).toBe(0));

async function rounded(values: Float32Array<ArrayBuffer>, step: number, stream = 7): Promise<Float32Array> {
  using x = tensor(cpu, "f32", ["x"], [values.length], values);
  using at = scalar(cpu, "f32", step);
  using y = run(roundStochasticOp, { in: { x, step: at }, attrs: { seed: 3, stream }, axes: { y: ["x"] } }).y;
  return bf16ToF32((await y.read()) as Uint16Array);
}

/** The same on bits: the lower 16 are what truncation cuts off. */
function onBits(values: Float32Array<ArrayBuffer>, step: number, stream = 7): Float32Array {
  const uniform = philox(3, stream, step);
  const words = new Uint32Array(values.buffer);
  const halves = Uint16Array.from(words, (word, i) => (word >>> 16) + (uniform(i) * 65_536 < (word & 0xffff) ? 1 : 0));
  return bf16ToF32(halves);
}

describe("rounding by chance", () => {
  test("is what it is on bits, for numbers of any size", async () => {
    const uniform = philox(1, 1, 1);
    const values = Float32Array.from({ length: 4000 }, (_, i) => {
      const size = 2 ** (uniform(2 * i) * 60 - 40);
      return uniform(2 * i + 1) < 0.5 ? size : -size;
    });
    // powers of two and their neighbours are where a logarithm errs
    for (let i = 0; i < 60; i++) {
      values[3 * i] = 2 ** (i - 40);
      values[3 * i + 1] = -Math.fround(2 ** (i - 40) * (1 - 2 ** -24));
      values[3 * i + 2] = Math.fround(2 ** (i - 40) * (1 + 2 ** -23));
    }
    for (const step of [1, 2, 1_000_000]) expect(await rounded(values, step)).toEqual(onBits(values, step));
    expect(await rounded(values, 1)).not.toEqual(await rounded(values, 2));
    expect(await rounded(values, 1)).not.toEqual(await rounded(values, 1, 8));
  });

  test("takes one of the two neighbours, right on average", async () => {
    const count = 40_000;
    for (const share of [0.1, 0.5, 0.97]) {
      const x = Math.fround(1 + share * 2 ** -7);
      for (const sign of [1, -1]) {
        const got = await rounded(new Float32Array(count).fill(sign * x), 5);
        const ups = got.filter((y) => y === sign * (1 + 2 ** -7)).length;
        expect(got.filter((y) => y === sign).length + ups).toBe(count);
        // four standard deviations
        expect(Math.abs(ups / count - share)).toBeLessThan(4 * Math.sqrt((share * (1 - share)) / count));
      }
    }
  });

  test("leaves alone what bf16 holds, and what is not finite", async () => {
    const values = bf16ToF32(
      f32ToBf16(Float32Array.from({ length: 500 }, (_, i) => Math.sin(i) * 10 ** ((i % 40) - 25))),
    );
    expect(await rounded(values, 1)).toEqual(values);
    const odd = Float32Array.of(
      0,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      2 ** 120,
      -(2 ** -99),
    );
    expect(await rounded(odd, 1)).toEqual(odd);
  });

  test("draws block by block, so that windows draw what the whole does", async () => {
    const values = new Float32Array(roundBlock + 100).fill(1 + 2 ** -8);
    const whole = await rounded(values, 1);
    expect(whole.subarray(roundBlock)).toEqual(await rounded(values.slice(roundBlock), 1, 8));
  });
});

describe("withStochasticRounding", () => {
  const weights = (value: number): Parameter =>
    parameter(cpu, "bf16", ["x"], [4000], f32ToBf16(new Float32Array(4000).fill(value)));
  const gradient = (value: number) =>
    new Map([["w", tensor(cpu, "bf16", ["x"], [4000], f32ToBf16(new Float32Array(4000).fill(value)))]]);
  const read = async (param: Parameter): Promise<Float32Array> => bf16ToF32((await param.read()) as Uint16Array);

  test("updates far below the spacing of bf16 arrive on average", async () => {
    using lost = weights(1);
    using kept = weights(1);
    using plain = new OptimizerState(sgd(), new Map([["w", lost]]));
    using chance = new OptimizerState(withStochasticRounding(sgd()), new Map([["w", kept]]));
    for (let step = 1; step <= 100; step++) {
      await plain.step(gradient(-1), { step, lr: 1e-4 });
      await chance.step(gradient(-1), { step, lr: 1e-4 });
    }
    expect(new Set(await read(lost))).toEqual(new Set([1]));
    const values = await read(kept);
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    expect(Math.abs(mean - 1.01)).toBeLessThan(0.001);
  });

  test("goes on after a load as if there had been no break, with no slot of its own", async () => {
    const optimizer = withStochasticRounding(adamw(), { seed: 9 });
    const at = (step: number) => ({ step, lr: 1e-3 });
    using straight = weights(0.5);
    using whole = new OptimizerState(optimizer, new Map([["w", straight]]));
    for (let step = 1; step <= 10; step++) await whole.step(gradient(Math.sin(step)), at(step));

    using first = weights(0.5);
    using before = new OptimizerState(optimizer, new Map([["w", first]]));
    for (let step = 1; step <= 6; step++) await before.step(gradient(Math.sin(step)), at(step));
    expect([...before.save().keys()]).toEqual(["m:w", "v:w"]);
    using second = parameter(cpu, "bf16", ["x"], [4000], (await first.read()) as Uint16Array<ArrayBuffer>);
    using after = new OptimizerState(optimizer, new Map([["w", second]]));
    await after.load(before.save());
    for (let step = 7; step <= 10; step++) await after.step(gradient(Math.sin(step)), at(step));
    expect(await second.read()).toEqual(await straight.read());
  });

  test("leaves f32 to the optimizer, and refuses f16", async () => {
    const wide = () => parameter(cpu, "f32", ["x"], [2], Float32Array.of(1, 2));
    using a = wide();
    using b = wide();
    for (const [param, optimizer] of [
      [a, adamw()],
      [b, withStochasticRounding(adamw())],
    ] as const) {
      using state = new OptimizerState(optimizer, new Map([["w", param]]));
      await state.step(new Map([["w", tensor(cpu, "f32", ["x"], [2], Float32Array.of(1, -1))]]), { step: 1, lr: 0.1 });
    }
    expect(await a.read()).toEqual(await b.read());
    using narrow = parameter(cpu, "f16", ["x"], [2], new Uint16Array(2));
    const make = () => new OptimizerState(withStochasticRounding(adamw()), new Map([["w", narrow]]));
    expect(make).toThrow(/only bf16 is rounded by chance/);
  });

  test("is the same in windows", async () => {
    const size = roundBlock + 100;
    const halves = f32ToBf16(Float32Array.from({ length: size }, (_, i) => Math.sin(i)));
    const bytes: Buffer[] = [];
    for (const window of [2 ** 22, 2 ** 23]) {
      using param = parameter(cpu, "bf16", ["x"], [size], halves);
      using state = new OptimizerState(withStochasticRounding(sgd()), new Map([["w", param]]), { window });
      await state.step(new Map([["w", tensor(cpu, "bf16", ["x"], [size], halves)]]), { step: 1, lr: 1e-3 });
      bytes.push(Buffer.from((await param.read()).buffer));
    }
    expect(bytes[1]?.equals(bytes[0]!)).toBe(true);
    expect(bytes[1]?.equals(Buffer.from(halves.buffer))).toBe(false);
  });
});
