import { createCpuBackend } from "@ft/backend-cpu";
import { loadModel, uploadBatch } from "@ft/models";
import { type FloatDType, memory, scalar, type Tensor, valueAndGrad } from "@ft/tensor";
import { divide } from "@ft/tensor/ops";
import { describe, expect, it } from "vitest";
import { goldenBatch, goldenFolder, goldenJson } from "../../models/test/goldens.ts";
import { applyLora } from "../src/index.ts";

const host = goldenBatch(goldenJson("llama-gqa").padded);

interface Trained {
  readonly loss: number;
  readonly grads: Map<string, Float32Array>;
}

/** Loss and gradients of adapters whose B is not zero. */
async function adapted(dtype: FloatDType, checkpointing = false): Promise<Trained> {
  const backend = await createCpuBackend({ poison: true });
  using model = await loadModel(goldenFolder("llama-gqa"), { backend, dtype });
  const adapter = applyLora(model, { r: 4, targetModules: ["q_proj", "v_proj", "down_proj"], dropout: 0.1 });
  const parameters = adapter.parameters();
  for (const [name, x] of parameters)
    if (name.includes("lora_B")) x.write(new Float32Array(x.shape[0]! * x.shape[1]!).map((_, i) => Math.sin(i) / 50));
  adapter.train(7);
  const before = memory(backend).live;
  const batch = uploadBatch(backend, host, model.config.vocabSize);
  using count = scalar(backend, "f32", host.targetTokens);
  const { value, grads } = valueAndGrad(parameters, () => {
    const { loss } = model.loss(batch, { checkpointing });
    expect(loss.dtype).toBe("f32");
    return divide(loss as Tensor<"f32", readonly []>, count);
  });
  const [loss = Number.NaN] = await value.read();
  const read = new Map<string, Float32Array>();
  for (const [name, grad] of grads) {
    expect(grad.dtype, name).toBe("f32");
    read.set(name, Float32Array.from(await grad.read()));
    grad.dispose();
  }
  for (const x of [value, ...Object.values(batch)]) x.dispose();
  expect(memory(backend).live).toBe(before + 1);
  return { loss, grads: read };
}

const norm = (x: Float32Array): number => Math.hypot(...x);

describe.each([
  ["bf16", 2 ** -8],
  ["f16", 2 ** -11],
] as const)("adapters over activations in %s", (dtype, unit) => {
  it("have the loss of f32 within their rounding, and gradients of adapters in f32", async () => {
    const want = await adapted("f32");
    const got = await adapted(dtype);
    expect(Math.abs(got.loss - want.loss)).toBeLessThan(4 * unit * want.loss);
    expect([...got.grads.keys()]).toEqual([...want.grads.keys()]);
    for (const [name, grad] of got.grads) {
      const exact = want.grads.get(name)!;
      expect(norm(grad.map((x, i) => x - exact[i]!)), name).toBeLessThan(16 * unit * norm(exact));
    }
  });

  it("are made again to the bit under checkpointing", async () => {
    expect(await adapted(dtype, true)).toEqual(await adapted(dtype, false));
  });
});
