import { createCpuBackend } from "@ft/backend-cpu";
import { f16ToF32, parameter, type Tensor, tensor } from "@ft/tensor";
import { linear } from "@ft/tensor/ops";
import { expectClose, expectSameBytes } from "@ft/testing";
import { openSafetensors } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { goldenFolder, goldenJson } from "../../models/test/goldens.ts";
import { clipWeight } from "../src/awq/clip.ts";
import { awqGrid, roundTo } from "../src/awq/grid.ts";
import { StatisticsOf } from "../src/awq/input-statistics.ts";
import { dequantizeAwq } from "../src/awq/layout.ts";
import { packWords, unpackWords } from "../src/awq/packing.ts";
import { searchScales } from "../src/awq/search-scales.ts";

const json = goldenJson("awq");
const source = await openSafetensors(`${goldenFolder("awq")}/golden.safetensors`);
const backend = await createCpuBackend();

async function statistics(x: Tensor<"f32", readonly ["batch", "seq", string]>, groupSize: number) {
  const gathered = new StatisticsOf(x.shape[2] ?? 0, groupSize);
  await gathered.add(x);
  return gathered.result();
}

describe("what AutoAWQ packs", async () => {
  const { shape, groupSize } = json.packed;
  const integers = await source.read("packed.integers", "u8");
  const zeros = await source.read("packed.zeros", "u8");
  const qweight = await source.read("packed.qweight", "i32");
  const qzeros = await source.read("packed.qzeros", "i32");

  it("is packed and unpacked to the bit", () => {
    expectSameBytes(packWords(integers), qweight, "qweight");
    expectSameBytes(packWords(zeros), qzeros, "qzeros");
    expectSameBytes(unpackWords(qweight), integers, "integers");
    expectSameBytes(unpackWords(qzeros), zeros, "zeros");
  });

  it("dequantises to the same numbers", async () => {
    const scales = await source.read("packed.scales", "f16");
    const values = dequantizeAwq({ qweight, qzeros, scales }, shape, groupSize);
    expectSameBytes(values, await source.read("packed.dequantised", "f32"), "weight");
    expect(() => dequantizeAwq({ qweight, qzeros, scales }, shape, 32)).toThrow(/\[awq\] .* words/);
  });
});

describe.each(Object.entries<any>(json.searches))("AutoAWQ's search, %s", async (name, { shape, groupSize }) => {
  const inputs = shape[1];
  const read = (key: string): Promise<Float32Array<ArrayBuffer>> => source.read(`${name}.${key}`, "f32");
  const weight = await read("weight");
  const x = await read("x");
  const tokens = x.length / inputs;

  it("has its grids but for the rounding of scales to f16, and its values", async () => {
    const grid = awqGrid(weight, groupSize);
    expectClose(f16ToF32(grid.scales), await read("roundedScales"), {
      relative: 2 ** -11,
      reason: "half a unit of f16",
    });
    expectSameBytes(Float32Array.from(grid.zeros), await read("roundedZeros"), "zeros");
    const rounded = roundTo(weight, grid, groupSize, new Float32Array(weight.length));
    const theirs = await read("rounded");
    // a value near the middle between two integers may go either way
    const step = Math.max(...grid.steps);
    const other = rounded.filter((value, i) => Math.abs(value - theirs[i]!) > step / 10).length;
    expect(other / weight.length).toBeLessThan(0.005);
  });

  it("finds its scales", async () => {
    using inputsOf = tensor(backend, "f32", ["batch", "seq", "hidden"], [1, tokens, inputs], x);
    using held = parameter(backend, "f32", ["out", "in"], shape, weight);
    const run = () => linear(inputsOf.as("batch", "seq", "in"), held).as("batch", "seq", "hidden");
    using y = run();
    const { meanAbs } = await statistics(inputsOf, groupSize);
    const searched = { weights: [{ weight, held }], meanAbs, groupSize, outputs: [y], run, signal: undefined };
    const found = await searchScales(searched);
    expectClose(found.scales, await read("scales"), { relative: 1e-5, reason: "float32 powers of means" }, "scales");
    expect(found.ratio).toBeGreaterThan(0);
    expect(found.error).toBeLessThan(0.5 * found.rounded);
    expectSameBytes(await held.read(), weight, "the weight is put back");
  });

  it("clips where it does", async () => {
    using inputsOf = tensor(backend, "f32", ["batch", "seq", "in"], [1, tokens, inputs], x);
    const { grams } = await statistics(inputsOf, groupSize);
    const clipped = weight.slice();
    await clipWeight(backend, clipped, grams, groupSize);
    const theirs = await read("clip");
    expect(theirs.length).toBe(weight.length / groupSize);
    let same = 0;
    for (const [group, limit] of theirs.entries()) {
      const [start, end] = [group * groupSize, (group + 1) * groupSize];
      const whole = weight.subarray(start, end);
      const own = clipped.subarray(start, end);
      const cut = whole.map((value) => Math.min(limit, Math.max(-limit, value)));
      const change = (part: Float32Array): Float32Array =>
        roundTo(part, awqGrid(part, groupSize), groupSize, new Float32Array(groupSize)).map((v, i) => v - whole[i]!);
      const channel = start % inputs;
      const error = (d: Float32Array): number => {
        let sum = 0;
        for (let t = 0; t < tokens; t++)
          sum += d.reduce((y, value, i) => y + value * x[t * inputs + channel + i]!, 0) ** 2;
        return sum;
      };
      const [ours, other] = [error(change(own)), error(change(cut))];
      // never worse than AutoAWQ's choice, but for float32 in the products
      expect(ours).toBeLessThanOrEqual(other * (1 + 1e-4));
      if (own.every((value, i) => Math.abs(value - cut[i]!) < 1e-6)) same++;
    }
    // steps rounded to f16 tip the balance between levels of nearly equal error
    expect(same / theirs.length).toBeGreaterThan(0.85);
    expect(clipped).not.toEqual(weight);
  });
});

it("rounds scales to the f16 that is stored", () => {
  const grid = awqGrid(
    Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)),
    32,
  );
  expect([...grid.steps]).toEqual([...f16ToF32(grid.scales)]);
});
