import { createCpuBackend } from "@ft/backend-cpu";
import { memory, scalar, type Tensor, valueAndGrad } from "@ft/tensor";
import { divide } from "@ft/tensor/ops";
import { expectClose } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { loadModel, uploadBatch } from "../src/index.ts";
import { goldenBatch, goldenFolder, goldenJson, goldenTensors, realLogits } from "./goldens.ts";

const cases = ["llama-gqa", "llama-mha-tied", "llama-llama3-rope", "llama-linear-rope", "llama-bias"];

const tolerance = { relative: 1e-4, reason: "float32 on both sides, sums in another order" };

describe.each(cases)("%s against transformers", async (name) => {
  const json = goldenJson(name);
  const want = await goldenTensors(name);

  it.each(["padded", "packed"])("has its logits, %s", async (layout) => {
    const backend = await createCpuBackend();
    using model = await loadModel(goldenFolder(name), { backend });
    expectClose(await realLogits(model, goldenBatch(json[layout])), want.get("logits")!, tolerance, "logits");
  });

  it.each([
    ["padded", false],
    ["packed", false],
    ["padded", true],
  ])("has its loss and every gradient, %s, checkpointing %s", async (layout, checkpointing) => {
    const backend = await createCpuBackend();
    using model = await loadModel(goldenFolder(name), { backend });
    const host = goldenBatch(json[layout]);
    const batch = uploadBatch(backend, host, model.config.vocabSize);
    const before = memory(backend).live;
    const parameters = model.parameters();
    using count = scalar(backend, "f32", host.targetTokens);
    const { value, grads } = valueAndGrad(parameters, () =>
      divide(model.loss(batch, { checkpointing }).loss as Tensor<"f32", readonly []>, count),
    );
    expectClose(await value.read(), [json.loss.mean], tolerance, "loss");
    expect([...grads.keys()].sort()).toEqual([...parameters.keys()].sort());
    for (const [parameter, grad] of grads)
      expectClose(await grad.read(), want.get(`grad.${parameter}`)!, tolerance, parameter);
    value.dispose();
    for (const grad of grads.values()) grad.dispose();
    expect(memory(backend).live).toBe(before + 1);
  });
});
