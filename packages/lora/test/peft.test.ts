import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { type Llama, loadModel, uploadBatch } from "@ft/models";
import { memory, scalar, type Tensor, valueAndGrad } from "@ft/tensor";
import { divide } from "@ft/tensor/ops";
import { expectClose } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { goldenBatch, goldenFolder, goldenJson, goldenTensors, realLogits } from "../../models/test/goldens.ts";
import { loadAdapter, saveAdapter } from "../src/index.ts";

const cases = ["llama-gqa", "llama-mha-tied", "llama-llama3-rope", "llama-linear-rope", "llama-bias"];
const tolerance = { relative: 1e-4, reason: "float32 on both sides, sums in another order" };

async function load(name: string): Promise<Llama> {
  return loadModel(goldenFolder(name), { backend: await createCpuBackend() });
}

/** Mean loss over the target tokens of a batch, as PEFT's model returns it. */
function meanLoss(model: Llama, host: ReturnType<typeof goldenBatch>): () => Tensor<"f32", readonly []> {
  const batch = uploadBatch(model.backend, host, model.config.vocabSize);
  const count = scalar(model.backend, "f32", host.targetTokens);
  return () => divide(model.loss(batch).loss as Tensor<"f32", readonly []>, count);
}

describe.each(cases)("%s with a PEFT adapter", async (name) => {
  const json = goldenJson(name);
  const want = await goldenTensors(name);
  const padded = goldenBatch(json.padded);
  const packed = goldenBatch(json.packed);

  it.each([
    ["padded", padded],
    ["packed", packed],
  ] as const)("has its loss and every gradient of A and B, %s", async (_, host) => {
    using model = await load(name);
    const adapter = await loadAdapter(model, join(goldenFolder(name), "adapter"));
    const { value, grads } = valueAndGrad(adapter.parameters(), meanLoss(model, host));
    expectClose(await value.read(), [json.lora.loss.mean], tolerance, "loss");
    expect([...grads.keys()].sort()).toEqual([...adapter.parameters().keys()].sort());
    for (const [key, grad] of grads) expectClose(await grad.read(), want.get(`lora.grad.${key}`)!, tolerance, key);
  });

  it("has its logits, and the same after fuse", async () => {
    using model = await load(name);
    const adapter = await loadAdapter(model, join(goldenFolder(name), "adapter"));
    expectClose(await realLogits(model, padded), want.get("lora.logits")!, tolerance, "logits");
    await adapter.fuse();
    expectClose(await realLogits(model, padded), want.get("lora.logits")!, tolerance, "fused logits");
  });

  it("counts what trains as PEFT does", async () => {
    using model = await load(name);
    const adapter = await loadAdapter(model, join(goldenFolder(name), "adapter"));
    const { trainable, total, layers } = adapter.summary();
    expect([trainable, total]).toEqual([json.lora.trainableParameters, json.lora.allParameters]);
    expect(layers.map(({ path }) => path).sort()).toEqual([...json.lora.modules].sort());
  });

  it("leaves the base as it was when it is removed, and leaks nothing", async () => {
    using model = await load(name);
    const before = memory(model.backend).live;
    const adapter = await loadAdapter(model, join(goldenFolder(name), "adapter"));
    adapter.remove();
    expect(memory(model.backend).live).toBe(before);
    expectClose(await realLogits(model, padded), want.get("logits")!, tolerance, "logits");
  });
});

describe("merging", async () => {
  it("gives PEFT's merged weights", async () => {
    const want = await goldenTensors("llama-gqa");
    using model = await load("llama-gqa");
    const adapter = await loadAdapter(model, join(goldenFolder("llama-gqa"), "adapter"));
    await adapter.fuse();
    const bound = { relative: 1e-6, reason: "one product and one sum in float32" };
    const merged = [...want.keys()].filter((key) => key.startsWith("merged."));
    expect(merged).toHaveLength(14);
    for (const key of merged)
      expectClose(await model.parameters().get(key.slice("merged.".length))!.read(), want.get(key)!, bound, key);
  });

  it("refuses an update that is not finite and changes nothing", async () => {
    using model = await load("llama-gqa");
    const adapter = await loadAdapter(model, join(goldenFolder("llama-gqa"), "adapter"));
    const [first] = adapter.parameters().values();
    const values = await first!.read();
    values[3] = Number.NaN;
    first!.write(values);
    await expect(adapter.fuse()).rejects.toThrow(/merged weight of model\.layers\.0.* is not finite/);
    expect(adapter.summary().layers).toHaveLength(14);
  });
});

const variants = ["llama-gqa", "llama-bias"].flatMap((name) =>
  Object.keys(goldenJson(name).variants ?? {}).map((variant) => [name, variant] as const),
);

describe.each(variants)("%s, variant %s", async (name, variant) => {
  const json = goldenJson(name);
  const want = await goldenTensors(name);
  const { modules, scaling, trainable, loss } = json.variants[variant];
  const host = goldenBatch(json.padded);

  it("adapts the layers PEFT adapts, with its scales, and trains what it trains", async () => {
    using model = await load(name);
    const adapter = await loadAdapter(model, join(goldenFolder(name), `adapter-${variant}`));
    const { layers } = adapter.summary();
    expect(layers.map(({ path }) => path).sort()).toEqual([...modules].sort());
    for (const { path, scale } of layers) expect(scale).toBeCloseTo(scaling[path], 12);
    expect([...adapter.parameters().keys()].sort()).toEqual([...trainable].sort());
  });

  it("has its logits, loss and gradients", async () => {
    using model = await load(name);
    const adapter = await loadAdapter(model, join(goldenFolder(name), `adapter-${variant}`));
    expectClose(await realLogits(model, host), want.get(`${variant}.logits`)!, tolerance, "logits");
    const { value, grads } = valueAndGrad(adapter.parameters(), meanLoss(model, host));
    expectClose(await value.read(), [loss.mean], tolerance, "loss");
    const known = [...grads].filter(([key]) => want.has(`${variant}.grad.${key}`));
    if (variant.startsWith("bias")) expect(known).toHaveLength(grads.size);
    for (const [key, grad] of known)
      expectClose(await grad.read(), want.get(`${variant}.grad.${key}`)!, tolerance, key);
  });

  it("survives saving and loading, bit for bit", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ft-adapter-"));
    using model = await load(name);
    using again = await load(name);
    const adapter = await loadAdapter(model, join(goldenFolder(name), `adapter-${variant}`));
    await saveAdapter(adapter, folder, "a/base-model");
    const reloaded = await loadAdapter(again, folder);
    for (const [key, parameter] of adapter.parameters())
      expect(await reloaded.parameters().get(key)!.read()).toEqual(await parameter.read());
    expect(reloaded.config).toEqual({ ...adapter.config, targetModules: reloaded.config.targetModules });
    await rm(folder, { recursive: true });
  });
});
