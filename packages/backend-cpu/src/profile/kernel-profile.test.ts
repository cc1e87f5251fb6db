import { parameter, tensor, valueAndGrad } from "@ft/tensor";
import { linear, linearCrossEntropy } from "@ft/tensor/ops";
import { describe, expect, it } from "vitest";
import { createCpuBackend } from "../cpu-backend.ts";
import { loadNative } from "../native/library.ts";
import { argumentPlaces } from "../native/observe.ts";
import { kernelProfile } from "./kernel-profile.ts";
import { workOf } from "./work.ts";

const library = loadNative();

describe("workOf", () => {
  it("counts the products of each kernel", () => {
    const x = new Float32Array(8);
    const call = (kernel: string, values: Record<string, number | ArrayBufferView>) => {
      const args = [...argumentPlaces.get(kernel)!.keys()].map((name) => values[name] ?? 0);
      expect(Object.keys(values).filter((name) => !argumentPlaces.get(kernel)!.has(name))).toEqual([]);
      return workOf(kernel, args);
    };
    expect(call("gemm_f32", { M: 5, N: 3, K: 2, transB: 1 })).toEqual({
      shape: "5 x 3 x 2, A·Bᵀ, f32",
      flops: 60,
      bytes: 0,
    });
    expect(call("gemm", { M: 5, N: 3, K: 2, transA: 1, storage: 1 }).shape).toBe("5 x 3 x 2, Aᵀ·B, bf16");
    expect(call("gemm_batched_f32", { batch: 4, M: 5, N: 3, K: 2 }).flops).toBe(240);
    // a row of 3 tokens sees 1 + 2 + 3 places, twice 2·d FLOP each; the backward has five products for these two
    const attention = { b: 2, s: 3, h: 4, d: 8 };
    expect(call("attention_fwd", attention).flops).toBe(2 * 4 * (1 + 2 + 3) * 2 * 2 * 8);
    expect(call("attention_bwd", attention).flops).toBe(2.5 * 2 * 4 * (1 + 2 + 3) * 2 * 2 * 8);
    // two new tokens after 5 and after 0: all see the whole
    const cached = call("attention_cached", { start: Int32Array.of(5, 0), sq: 2, h: 3, d: 4 });
    expect(cached.flops).toBe((7 + 2) * 2 * 3 * 2 * 2 * 4);
    // rows without a target do not count
    const loss = { rows: 10, h: 3, vocab: 5, count: Float64Array.of(6), dx: x };
    expect(call("cross_entropy", loss).flops).toBe(2 * 2 * 6 * 3 * 5);
  });

  it("counts the arrays of everything else", () => {
    const x = new Float32Array(8);
    expect(workOf("add_f32", [x, x, x, 8])).toEqual({ shape: "", flops: 0, bytes: 96 });
    expect(workOf("rmsnorm_bwd", [x, x, x, x, 1, 8, x, null]).bytes).toBe(160);
  });
});

describe.skipIf(library === undefined)("createCpuBackend({ observe })", () => {
  it("adds up calls by kernel and shape", async () => {
    const profile = kernelProfile();
    const cpu = await createCpuBackend({ observe: profile.observe });
    const weight = parameter(cpu, "f32", ["out", "in"], [3, 2], new Float32Array(6).fill(1));
    const x = tensor(cpu, "f32", ["row", "in"], [5, 2], new Float32Array(10).fill(1));
    const targets = tensor(cpu, "i32", ["row"], [5], Int32Array.of(0, 1, 0, -1, 1));
    const head = tensor(cpu, "f32", ["vocab", "out"], [2, 3], new Float32Array(6).fill(1));
    const loss = () => linearCrossEntropy(linear(x, weight), head, targets, { chunk: 4 }).loss;
    const step = () => valueAndGrad(new Map([["w", weight]]), loss);
    step();
    step();
    const products = profile.times().filter(({ flops }) => flops > 0);
    expect(products.map(({ shape, calls, flops }) => ({ shape, calls, flops }))).toEqual(
      expect.arrayContaining([
        { shape: "5 x 3 x 2, A·Bᵀ, f32", calls: 2, flops: 120 },
        { shape: "3 x 2 x 5, Aᵀ·B, f32", calls: 2, flops: 120 },
      ]),
    );
    const { kernel, flops } = products.find(({ shape }) => shape === "")!;
    expect([kernel, flops]).toEqual(["cross_entropy", 2 * 2 * 2 * 4 * 3 * 2]); // two steps; scores and their gradient
    expect(products).toHaveLength(3);
    for (const { milliseconds } of profile.times()) expect(milliseconds).toBeGreaterThan(0);
    profile.reset();
    expect(profile.times()).toEqual([]);
  });

  it("is not in the way of a backend without it", async () => {
    expect((await createCpuBackend()).context).toHaveProperty("native", library?.kernels);
  });
});
