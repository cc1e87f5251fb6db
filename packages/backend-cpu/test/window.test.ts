import { copyInto, memory, parameter, run, scalar, tensor, windowOf } from "@ft/tensor";
import { sgdOp } from "@ft/tensor/ops";
import { describe, expect, it } from "vitest";
import { createCpuBackend } from "../src/index.ts";

describe("windows of a tensor", () => {
  it.each(["loops", "wasm", "native"] as const)("what a donating op writes is in the whole (%s)", async (engine) => {
    const cpu = await createCpuBackend({ engine });
    const x = parameter(cpu, "f32", ["row", "column"], [2, 4], Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7));
    const grad = tensor(cpu, "f32", ["element"], [3], Float32Array.of(1, 1, 2));
    const { bytes, live } = memory(cpu);
    const window = windowOf(x, 3, 3)!;
    expect(window.toString()).toBe("f32 element = 3");
    expect(Array.from(await window.read())).toEqual([3, 4, 5]);
    expect(memory(cpu)).toMatchObject({ bytes, live });
    const lr = scalar(cpu, "f32", 1);
    const attrs = { momentum: 0, nesterov: false, weightDecay: 0 };
    const next = run(sgdOp, { in: { param: window, grad, lr }, attrs, axes: { param: ["element"] }, donate: true });
    copyInto(next.param, window);
    next.param.dispose();
    window.dispose();
    expect(Array.from(await x.read())).toEqual([0, 1, 2, 2, 3, 3, 6, 7]);
    for (const made of [x, grad, lr]) made.dispose();
    expect(memory(cpu).live).toBe(0);
  });

  it("keeps the memory of what it is a part of until it is disposed itself", async () => {
    const cpu = await createCpuBackend({ engine: "loops", poison: true });
    const x = tensor(cpu, "bf16", ["x"], [600], new Uint16Array(600).fill(0x3f80));
    using window = windowOf(x, 599, 1)!;
    x.dispose();
    expect(memory(cpu).live).toBe(1);
    using other = tensor(cpu, "bf16", ["x"], [600], new Uint16Array(600));
    expect(Array.from(await window.read())).toEqual([0x3f80]);
    expect(other.shape).toEqual([600]);
  });

  it("stays inside, and copies only between equals", async () => {
    const cpu = await createCpuBackend({ engine: "loops" });
    using x = tensor(cpu, "u8", ["x"], [4], Uint8Array.of(1, 2, 3, 4));
    expect(() => windowOf(x, 2, 3)).toThrow(/3 elements from 2 on of u8 x = 4; stay inside/);
    using window = windowOf(x, 2, 2)!;
    expect(() => copyInto(x, window)).toThrow(/copy between tensors of one dtype and size/);
  });

  it("is not there where a backend has no parts or may not write", async () => {
    const { part: _, ...partless } = await createCpuBackend({ engine: "loops" });
    using x = tensor(partless, "u8", ["x"], [4], Uint8Array.of(1, 2, 3, 4));
    expect(windowOf(x, 0, 2)).toBeUndefined();
    const fixed = { ...(await createCpuBackend({ engine: "loops" })), mutable: false };
    using y = tensor(fixed, "u8", ["x"], [4], Uint8Array.of(1, 2, 3, 4));
    expect(windowOf(y, 0, 2)).toBeUndefined();
  });
});
