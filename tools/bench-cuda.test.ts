// The CUDA benchmark's side of this project, on the CPU with two small layers: that it runs is what a machine without a card can say.
import { describe, expect, it } from "vitest";

const bench = (file: string): Promise<any> => import(new URL(`../bench/${file}`, import.meta.url).href);
const small = { batch: 2, seq: 16, rank: 4, steps: 2, warm: 1, learningRate: 1e-3 };

async function opened(dtype: string, quantized: boolean) {
  const { shapes } = await bench("lib/shapes.mjs");
  const { openBackend } = await bench("cuda/open.mjs");
  const { randomLlama } = await bench("cuda/random-llama.mjs");
  const open = await openBackend("cpu", {});
  open.restartPeak();
  return { open, model: await randomLlama(open.backend, shapes.toy, { dtype, quantized }) };
}

describe("the CUDA benchmark on the CPU", () => {
  it.each([
    ["lora", { dtype: "bf16" }],
    ["lora", { dtype: "f16", lossScale: { initScale: 1024 } }],
    ["qlora", { dtype: "bf16", checkpointing: true }],
    ["full", { dtype: "bf16" }],
    ["full", { dtype: "bf16", optimizer: "adamw", master: true }],
  ])("trains: %s %o", async (method, more) => {
    const { open, model } = await opened(more.dtype, method === "qlora");
    const { trainSteps } = await bench("cuda/train-steps.mjs");
    const said = await trainSteps({ ...small, checkpointing: false, method, ...more }, open, model);
    expect(said.tokensPerSecond).toBeGreaterThan(0);
    // random weights know nothing of 256 tokens
    expect(said.loss[0]).toBeCloseTo(Math.log(256), 0);
    expect(said.loss[1]).toBeLessThan(said.loss[0]);
    expect(said.peak).toBeGreaterThan(0);
  });

  it("decodes", async () => {
    const { open, model } = await opened("bf16", false);
    const { decode } = await bench("cuda/decode.mjs");
    const said = await decode({ ...small, tokens: 4 }, open, model);
    expect(said.tokensPerSecond).toBeGreaterThan(0);
  });

  it("draws weights with the deviation they should have, differently in every piece", async () => {
    const { normal } = await bench("cuda/normal.mjs");
    const { openBackend } = await bench("cuda/open.mjs");
    const { backend } = await openBackend("cpu", {});
    const x = normal(backend, "f32", ["out", "in"], [300, 301], 3);
    const values: Float32Array = await x.read();
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((a, b) => a + b * b, 0) / values.length);
    expect(Math.abs(mean)).toBeLessThan(3e-4);
    expect(deviation).toBeCloseTo(0.02, 3);
  });
});
