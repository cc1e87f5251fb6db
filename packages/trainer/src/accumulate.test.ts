import { createCpuBackend } from "@ft/backend-cpu";
import { bf16ToF32, f32ToBf16, philoxNormal, type Tensor, tensor } from "@ft/tensor";
import { leakCheck } from "@ft/testing";
import { describe, expect, test } from "vitest";
import { accumulate } from "./accumulate.ts";

const bits = (values: Float32Array<ArrayBuffer>) => {
  const out = new Uint16Array(values.length);
  f32ToBf16(values, out);
  return out;
};

describe.each(["loops", "native"] as const)("gradients over micro-batches (%s)", (engine) => {
  test("those in bf16 are summed in f32: small ones are not lost beside a large sum", async () => {
    const cpu = await createCpuBackend({ engine, poison: true });
    const normal = philoxNormal(1, 2, 0);
    const parts = Array.from({ length: 20 }, (_, micro) =>
      bits(Float32Array.from({ length: 50 }, (_, i) => normal(50 * micro + i) * (micro === 0 ? 100 : 0.01))),
    );
    // The same bf16 numbers in f32 are the witness: their sums are what f32 training would have.
    const wide = parts.map((part) => bf16ToF32(part));
    const want = new Float32Array(50);
    for (const part of wide) for (const [i, x] of part.entries()) want[i] = Math.fround(want[i]! + x);
    await leakCheck(cpu, async () => {
      let sums = new Map<string, Tensor>();
      for (const part of parts)
        sums = accumulate(sums, new Map([["w", tensor(cpu, "bf16", ["out", "in"], [5, 10], part)]]));
      const sum = sums.get("w")!;
      expect(sum.toString()).toBe("f32 out×in = 5×10");
      expect(await sum.read()).toEqual(want);
      sum.dispose();
    });
    // Summed in bf16 most of the nineteen would have vanished.
    let narrow = bf16ToF32(parts[0]!);
    for (const part of wide.slice(1)) narrow = bf16ToF32(bits(narrow.map((x, i) => x + part[i]!)));
    expect(narrow).not.toEqual(bf16ToF32(bits(want)));
  });

  test("one micro-batch alone stays as it is, and f32 stays f32", async () => {
    const cpu = await createCpuBackend({ engine, poison: true });
    const alone = tensor(cpu, "bf16", ["x"], [2], Uint16Array.of(0x3f80, 0x4000));
    expect(accumulate(new Map(), new Map([["w", alone]])).get("w")).toBe(alone);
    const make = (x: number): Map<string, Tensor> =>
      new Map([["w", tensor(cpu, "f32", ["x"], [2], Float32Array.of(x, 2 * x))]]);
    const sum = accumulate(make(1), make(3)).get("w")!;
    expect(Array.from(await sum.read(), Number)).toEqual([4, 8]);
    alone.dispose();
    sum.dispose();
  });
});

test("large gradients are summed window by window, to the same numbers", async () => {
  const cpu = await createCpuBackend({ engine: "native" });
  const size = 2 ** 22 + 1000;
  const values = bits(Float32Array.from({ length: size }, (_, i) => Math.sin(i)));
  const grad = (): Map<string, Tensor> => new Map([["w", tensor(cpu, "bf16", ["x"], [size], values)]]);
  const sums = accumulate(accumulate(grad(), grad()), grad());
  const want = bf16ToF32(values).map((x) => Math.fround(x + x) + x);
  const sum = Buffer.from((await sums.get("w")!.read()).buffer);
  expect(sum.equals(Buffer.from(want.buffer))).toBe(true);
  sums.get("w")?.dispose();
});
