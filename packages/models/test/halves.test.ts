import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { memory } from "@ft/tensor";
import { expectClose } from "@ft/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { generate, generateBatch, loadModel, saveModel } from "../src/index.ts";
import { goldenBatch, goldenFolder, goldenJson, goldenTensors, realLogits } from "./goldens.ts";

const json = goldenJson("llama-gqa");
const prompt: number[] = json.padded.tokens.slice(0, 9);

describe.each([
  ["bf16", 5e-2],
  ["f16", 5e-3],
] as const)("activations in %s", (dtype, relative) => {
  it("have the scores of f32 within their rounding", async () => {
    using model = await loadModel(goldenFolder("llama-gqa"), { backend: await createCpuBackend(), dtype });
    const want = (await goldenTensors("llama-gqa")).get("logits")!;
    const got = await realLogits(model, goldenBatch(json.padded));
    expectClose(got, want, { relative, reason: "every activation is rounded to 16 bits" }, "logits");
  });

  it("generate over a cache of half the size, with scores in f32", async () => {
    const backend = await createCpuBackend({ poison: true });
    using model = await loadModel(goldenFolder("llama-gqa"), { backend, dtype });
    using wide = await loadModel(goldenFolder("llama-gqa"), { backend });
    const before = memory(backend);
    const bytes = (of: typeof model): number => {
      const held = before.bytes;
      using cache = of.createCache(2, 16);
      expect(cache.length).toBe(0);
      return before.bytes - held;
    };
    expect(bytes(model)).toBe(bytes(wide) / 2);
    const live = before.live;
    const options = { maxNewTokens: 6, stopIds: [] };
    const answer: number[] = [];
    for await (const id of generate(model, prompt, options)) answer.push(id);
    expect(answer).toHaveLength(6);
    const [first, second] = await generateBatch(model, [prompt, prompt.slice(0, 4)], options);
    expect(first).toEqual(answer);
    expect(second).toHaveLength(6);
    expect(before.live).toBe(live);
  });
});

it("weights stay as the file has them, norms are f32", async () => {
  const backend = await createCpuBackend();
  using model = await loadModel(goldenFolder("llama-gqa"), { backend, dtype: "bf16", weights: "bf16" });
  const dtypes = new Map([...model.parameters()].map(([name, { dtype }]) => [name, dtype]));
  expect(dtypes.get("model.embed_tokens.weight")).toBe("bf16");
  expect(dtypes.get("model.norm.weight")).toBe("f32");
  using stored = await loadModel(goldenFolder("llama-gqa"), { backend, dtype: "bf16" });
  expect(stored.parameters().get("model.embed_tokens.weight")?.dtype).toBe("f32");
  for (const dtype of ["bf16", "f16"] as const) {
    using narrowed = await loadModel(goldenFolder("llama-gqa"), { backend, dtype, weights: "narrowed" });
    expect(narrowed.parameters().get("model.embed_tokens.weight")?.dtype).toBe(dtype);
    expect(narrowed.parameters().get("model.norm.weight")?.dtype).toBe("f32");
  }
  using wide = await loadModel(goldenFolder("llama-gqa"), { backend, weights: "narrowed" });
  expect(wide.parameters().get("model.embed_tokens.weight")?.dtype).toBe("f32");
});

it("weights that are halves already are not made other halves", async () => {
  const [folder, from] = [await mkdtemp(join(tmpdir(), "ft-models-")), goldenFolder("llama-gqa")];
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const backend = await createCpuBackend();
  using model = await loadModel(from, { backend });
  await saveModel(model, folder, { from, dtype: "bf16" });
  using narrowed = await loadModel(folder, { backend, dtype: "f16", weights: "narrowed" });
  expect(narrowed.parameters().get("model.embed_tokens.weight")?.dtype).toBe("bf16");
});

it("refuses a dtype that there is not", async () => {
  const options = { backend: await createCpuBackend(), ...JSON.parse('{"dtype": "bf61"}') };
  await expect(loadModel(goldenFolder("llama-gqa"), options)).rejects.toThrow("[loadModel] dtype is bf61");
});
