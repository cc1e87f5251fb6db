import { createCpuBackend } from "@ft/backend-cpu";
import { OptimizerState, type OptimizerStateOptions } from "@ft/optim";
import { type Backend, defineKernel, memory, parameter, sizeOf, tensor } from "@ft/tensor";
import { adam8bitOp } from "@ft/tensor/ops";
import { encode, randomFrom } from "@ft/testing";
import { describe, expect, test } from "vitest";
import { optimizers8bit } from "./optimizers-8bit.ts";

const shape = [70, 60]; // 16 blocks of 256 and one of 104

function normals(seed: number, n: number): number[] {
  const random = randomFrom(seed);
  return Array.from({ length: n }, () => random.normal());
}

/** Everything that five steps leave. */
async function trained(
  backend: Backend,
  name: string,
  settings: object,
  { dtype, ...options }: OptimizerStateOptions & { readonly dtype: "f32" | "bf16" },
): Promise<Map<string, number[]>> {
  const values = (seed: number) => {
    const numbers = normals(seed, sizeOf(shape));
    return dtype === "bf16" ? Uint16Array.from(encode("bf16", Float32Array.from(numbers))) : Float32Array.from(numbers);
  };
  const param = parameter(backend, dtype, ["out", "in"], shape, values(1));
  const state = new OptimizerState(optimizers8bit[name]!({ ...settings }), new Map([["up.weight", param]]), options);
  for (let step = 1; step <= 5; step++) {
    const grad = tensor(backend, dtype, ["out", "in"], shape, values(10 + step));
    await state.step(new Map([["up.weight", grad]]), { step, lr: 0.01 });
  }
  const out = new Map<string, number[]>();
  for (const [key, x] of [["param", param] as const, ...state.save()]) out.set(key, Array.from(await x.read(), Number));
  state.dispose();
  param.dispose();
  expect(memory(backend).live).toBe(0);
  return out;
}

describe("where a backend has the step in one pass, its bits are those of decoding, step and encoding", () => {
  const cases = [
    ["adamw8bit", {}],
    ["adamw8bit", { textbook: true, beta1: 0.8 }],
    ["adamw8bit", { decayVectors: false, weightDecay: 0.3 }],
    ["adam8bit", { weightDecay: 0.1 }],
    ["adam8bit", { textbook: true, weightDecay: 0.1 }],
  ] as const;
  test.each(cases)("%s %o", async (name, settings) => {
    const apart = await createCpuBackend({ native: false, poison: true });
    // no kernel of its own, so that the op's reference runs
    const whole = await createCpuBackend({ native: false, poison: true, kernels: [defineKernel(adam8bitOp, {})] });
    for (const options of [{ dtype: "f32" }, { dtype: "bf16" }, { dtype: "f32", window: 600 }] as const) {
      const want = await trained(apart, name, settings, options);
      expect(await trained(whole, name, settings, options)).toEqual(want);
    }
  });
});
