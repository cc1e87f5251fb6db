import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { type Llama, type LoadModelOptions, loadModel, saveModel } from "@ft/models";
import { memory, philoxNormal, sizeOf } from "@ft/tensor";
import { describe, expect, it, onTestFinished } from "vitest";
import { goldenBatch, goldenFolder, goldenJson, goldenTensors, realLogits } from "../../models/test/goldens.ts";
import { applyLora, type LoraAdapter, loadAdapter, saveAdapter } from "../src/index.ts";

const cases = ["llama-gqa", "llama-mha-tied", "llama-llama3-rope", "llama-linear-rope", "llama-bias"];
const quickstart = fileURLToPath(new URL("../../../examples/quickstart/model", import.meta.url));

async function open(folder: string, options: Omit<LoadModelOptions, "backend"> = {}): Promise<Llama> {
  return loadModel(folder, { backend: await createCpuBackend(), ...options });
}

/** An adapter that matters, over every layer. */
function adapted(model: Llama): LoraAdapter {
  const adapter = applyLora(model, { r: 4, seed: 2 });
  for (const [i, [name, x]] of [...adapter.parameters()].entries())
    if (name.includes("lora_B")) {
      const normal = philoxNormal(23, i, 0);
      x.write(Float32Array.from({ length: sizeOf(x.shape) }, (_, at) => 0.05 * normal(at)));
    }
  return adapter;
}

/** The dense weight of every layer, adapters included. */
async function weights(model: Llama): Promise<Map<string, Float32Array>> {
  const found = new Map<string, Float32Array>();
  for (const [path, linear] of model.linears()) {
    using dense = linear.materialize("f32");
    found.set(path, await dense.read());
  }
  return found;
}

/** A digest of every layer's weight, to compare bits. */
async function bits(model: Llama): Promise<string[]> {
  return [...(await weights(model))].map(([path, x]) => `${path} ${createHash("sha256").update(x).digest("hex")}`);
}

/** The largest distance of two lists, which must be of one length. */
function far(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);
}

describe.each(cases)("%s, merged and taken apart", async (name) => {
  const want = await goldenTensors(name);
  const batch = goldenBatch(goldenJson(name).padded);

  it("computes what PEFT's base and adapter do, then to the bit what it did before, whatever the number of rounds", async () => {
    using model = await open(goldenFolder(name));
    const base = await bits(model);
    const adapter = await loadAdapter(model, join(goldenFolder(name), "adapter"));
    const before = await realLogits(model, batch);
    const once: unknown[] = [];
    const arrays = () => memory(model.backend).live;
    for (let round = 0; round < 3; round++) {
      const apart = arrays();
      await adapter.merge();
      await adapter.merge(); // a second time adds nothing
      expect(adapter.isMerged).toBe(true);
      expect(arrays()).toBe(apart + base.length);
      const merged = { logits: await realLogits(model, batch), weights: await bits(model) };
      expect(far(merged.logits, want.get("lora.logits")!)).toBeLessThan(1e-4);
      expect(far(merged.logits, before)).toBeLessThan(1e-4);
      once.push(merged);
      const together = arrays();
      adapter.unmerge();
      expect(adapter.isMerged).toBe(false);
      expect(arrays()).toBe(together - base.length);
      expect(await realLogits(model, batch)).toEqual(before);
    }
    expect(once[1]).toEqual(once[0]);
    expect(once[2]).toEqual(once[0]);
    await adapter.merge();
    adapter.remove();
    expect(await bits(model)).toEqual(base);
  });
});

describe("a merged adapter", () => {
  it("has PEFT's merged weights", async () => {
    const want = await goldenTensors("llama-gqa");
    using model = await open(goldenFolder("llama-gqa"));
    await (await loadAdapter(model, join(goldenFolder("llama-gqa"), "adapter"))).merge();
    const merged = await weights(model);
    expect(merged.size).toBe(14);
    // sums of 4 products in another order: one unit in the last place of numbers below 4
    for (const [path, values] of merged) expect(far(values, want.get(`merged.${path}.weight`)!)).toBeLessThan(5e-7);
  });

  it("is fused into the same weights, and saved as it is", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ft-merge-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    using model = await open(goldenFolder("llama-bias"));
    const adapter = adapted(model);
    const kept = new Map<string, unknown>();
    for (const [name, x] of adapter.parameters()) kept.set(name, await x.read());
    await adapter.merge();
    await saveAdapter(adapter, folder);
    const merged = await bits(model);
    await adapter.fuse();
    expect(await bits(model)).toEqual(merged);
    const again = await loadAdapter(model, folder);
    for (const [name, x] of again.parameters()) expect(await x.read(), name).toEqual(kept.get(name));
  });

  it("multiplies by one weight, whatever becomes of A and B", async () => {
    using model = await open(goldenFolder("llama-bias"));
    const adapter = adapted(model);
    const batch = goldenBatch(goldenJson("llama-bias").padded);
    await adapter.merge();
    const merged = await realLogits(model, batch);
    for (const x of adapter.parameters().values()) x.write(new Float32Array(sizeOf(x.shape)));
    expect(await realLogits(model, batch)).toEqual(merged);
    adapter.unmerge();
    expect(far(await realLogits(model, batch), merged)).toBeGreaterThan(0.1);
  });

  it("does not train, and says so", async () => {
    using model = await open(goldenFolder("llama-gqa"));
    const adapter = adapted(model);
    await adapter.merge();
    expect(() => adapter.train(0)).toThrow(/a merged adapter does not train; unmerge it first/);
    adapter.unmerge();
    adapter.train(0);
  });

  it("is refused where an update is not finite, and nothing changes", async () => {
    using model = await open(goldenFolder("llama-gqa"));
    const adapter = adapted(model);
    const [first] = adapter.parameters().values();
    first!.write(new Float32Array(sizeOf(first!.shape)).fill(Number.POSITIVE_INFINITY));
    const before = memory(model.backend).live;
    await expect(adapter.merge()).rejects.toThrow(/merged weight of model\.layers\.0.* is not finite/);
    expect(adapter.isMerged).toBe(false);
    expect(memory(model.backend).live).toBe(before);
  });

  it("frees everything with its model", async () => {
    const model = await open(goldenFolder("llama-bias"));
    await adapted(model).merge();
    model.dispose();
    // the step that dropout's masks are drawn for is the adapter's, which nobody took off
    expect(memory(model.backend).live).toBe(1);
  });
});

describe("a trained model, merged and taken apart", () => {
  const tokens = Int32Array.from({ length: 16 }, (_, i) => (i * 37 + 11) % 300);
  const batch = {
    ...{ batch: 2, seq: 8, tokens, targets: tokens.map(() => -100) },
    positions: tokens.map((_, i) => i % 8),
    segments: tokens.map(() => 1),
  };

  it.each(["f32", "bf16", "f16"] as const)("of %s: 1e-4 merged, and the same bits after", async (dtype) => {
    const folder = await mkdtemp(join(tmpdir(), "ft-merge-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    using original = await open(quickstart);
    await saveModel(original, folder, { from: quickstart, dtype });
    using model = await open(folder);
    const own = await bits(model);
    const plain = await realLogits(model, batch);
    const adapter = adapted(model);
    const before = await realLogits(model, batch);
    expect(far(before, plain)).toBeGreaterThan(0.5);
    await adapter.merge();
    // the base in 16 bits is widened, not rounded again: the merged weight is f32
    expect(far(await realLogits(model, batch), before)).toBeLessThan(1e-4);
    adapter.unmerge();
    expect(await realLogits(model, batch)).toEqual(before);
    adapter.remove();
    expect(await bits(model)).toEqual(own);
    expect(await realLogits(model, batch)).toEqual(plain);
  });
});
