import { createCpuBackend } from "@ft/backend-cpu";
import { type AnyKernel, type Backend, type Parameter, tensor, toParameter } from "@ft/tensor";
import { adamEachId, adamEachOp } from "@ft/tensor/ops";
import { expect, it, vi } from "vitest";
import { adamw } from "../adamw/adamw.ts";
import { OptimizerState } from "../state.ts";
import { adam } from "./adam.ts";

/** Steps are functions that a backend may record; with `each`, it says that it has a kernel for many parameters. */
async function backendWith(each: boolean): Promise<{ backend: Backend; forward: () => number }> {
  const cpu = await createCpuBackend({ engine: "loops" });
  const accepts = vi.fn(() => true);
  // without a half of its own a kernel leaves the work to the reference
  const kernel: AnyKernel = { op: adamEachOp(0), accepts };
  const kernels = each ? new Map([...cpu.kernels, [adamEachId, kernel]]) : cpu.kernels;
  const backend: Backend = { ...cpu, kernels, graphs: { run: (_, __, fn) => fn() } };
  return { backend, forward: () => accepts.mock.calls.length };
}

async function trained(each: boolean, optimizer: ReturnType<typeof adamw>, gradScale: number | undefined) {
  const { backend, forward } = await backendWith(each);
  const values = (i: number, n: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: n }, (_, j) => Math.sin(1 + i + 3 * j));
  const parameters = new Map<string, Parameter>();
  for (let i = 0; i < 100; i++)
    parameters.set(`p${i}`, toParameter(tensor(backend, "f32", ["x"], [1 + (i % 7)], values(i, 1 + (i % 7)))));
  parameters.set("w", toParameter(tensor(backend, "f32", ["a", "b"], [3, 5], values(7, 15))));
  using state = new OptimizerState(optimizer, parameters);
  for (let step = 1; step <= 3; step++) {
    const grads = new Map(
      [...parameters].map(([name, { axes, shape, view }], i) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return [name, tensor(view.storage.backend, "f32", axes, shape, values(100 * step + i, size))];
      }),
    );
    await state.step(grads, { step, lr: 0.1, ...(gradScale !== undefined && { gradScale }) });
  }
  const numbers: number[][] = [];
  for (const param of parameters.values()) numbers.push(Array.from(await param.read(), Number));
  for (const slot of state.save().values()) numbers.push(Array.from(await slot.read(), Number));
  return { numbers, calls: forward() };
}

const optimizers = {
  adam: adam({ weightDecay: 0.1 }),
  adamw: adamw({ weightDecay: 0.1, decayVectors: false }),
  "adamw in bitsandbytes' order": adamw({ weightDecay: 0.1, bitsandbytesOrder: true }),
};
for (const [name, optimizer] of Object.entries(optimizers))
  for (const gradScale of [undefined, 0.3])
    it(`${name}: many parameters at once get the numbers of one by one${gradScale ? ", gradients scaled" : ""}`, async () => {
      const together = await trained(true, optimizer, gradScale);
      const alone = await trained(false, optimizer, gradScale);
      expect(together.calls).toBeGreaterThan(0);
      expect(alone.calls).toBe(0);
      expect(together.numbers).toEqual(alone.numbers);
    });
