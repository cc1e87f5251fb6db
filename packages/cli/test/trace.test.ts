import { createCpuBackend } from "@ft/backend-cpu";
import { batches, type Example } from "@ft/data";
import { loadAdapter } from "@ft/lora";
import { loadModel, uploadBatch } from "@ft/models";
import { adamw, constant, schedules } from "@ft/optim";
import { expectClose } from "@ft/testing";
import { train } from "@ft/trainer";
import { describe, expect, it } from "vitest";
import { goldenBatch, goldenFolder, goldenJson, goldenTensors } from "../../models/test/goldens.ts";

const cases = ["llama-gqa", "llama-mha-tied", "llama-llama3-rope", "llama-linear-rope", "llama-bias"];

/** A batch source that gives the one batch of the golden file again and again. */
function onlyBatch(json: any) {
  const batch = { ...goldenBatch(json.padded), rows: [0, 1, 2] };
  return { perEpoch: 1, batchAt: () => batch };
}

describe.each(cases)("20 AdamW steps of LoRA on %s, against PEFT and torch", async (name) => {
  const json = goldenJson(name);
  const want = await goldenTensors(name);

  it("has every loss, gradient norm and the final adapter", async () => {
    const backend = await createCpuBackend();
    using model = await loadModel(goldenFolder(name), { backend });
    const adapter = await loadAdapter(model, `${goldenFolder(name)}/adapter`);
    const { losses, gradNorms, learningRates } = json.trace;
    const [learningRate] = learningRates;
    const parameters = adapter.parameters();
    const events = train({
      parameters,
      loss: (batch) => model.loss(uploadBatch(backend, batch, model.config.vocabSize)).loss,
      batches: onlyBatch(json),
      optimizer: adamw({ weightDecay: 0.01 }),
      schedule: constant({ learningRate, totalSteps: 20 }),
      maxSteps: 20,
    });
    const seen: number[][] = [];
    for await (const event of events) if (event.type === "step") seen.push([event.loss, event.gradNorm]);
    expect(seen).toHaveLength(20);
    for (const [i, [loss = Number.NaN, gradNorm = Number.NaN]] of seen.entries()) {
      expect(Math.abs(loss / losses[i] - 1), `loss of step ${i + 1}`).toBeLessThan(1e-3);
      expect(Math.abs(gradNorm / gradNorms[i] - 1), `gradient norm of step ${i + 1}`).toBeLessThan(1e-3);
    }
    // a nudge of 1e-6 of the start moves torch's own final weights by 7e-6: the bound leaves room for rounding only
    const bound = { relative: 1e-4, reason: "float32 rounding carried through 20 steps" };
    for (const [key, value] of parameters) expectClose(await value.read(), want.get(`lora.final.${key}`)!, bound, key);
  });
});

describe("20 clipped steps under a schedule with warm-up, against transformers", () => {
  it.each(["constant", "linear", "cosine"])("%s", async (schedule) => {
    const json = goldenJson("llama-gqa");
    const { losses, learningRates } = json.schedules[schedule];
    const backend = await createCpuBackend();
    using model = await loadModel(goldenFolder("llama-gqa"), { backend });
    const adapter = await loadAdapter(model, `${goldenFolder("llama-gqa")}/adapter`);
    const learningRate = Math.max(...learningRates);
    const events = train({
      parameters: adapter.parameters(),
      loss: (batch) => model.loss(uploadBatch(backend, batch, model.config.vocabSize)).loss,
      batches: onlyBatch(json),
      optimizer: adamw({ weightDecay: 0.01 }),
      schedule: schedules[schedule]!({ learningRate, totalSteps: 20, warmupSteps: 4 }),
      maxSteps: 20,
      clipNorm: 1,
    });
    let i = 0;
    for await (const event of events)
      if (event.type === "step") {
        expect(event.learningRate).toBeCloseTo(learningRates[i], 12);
        expect(Math.abs(event.loss / losses[i] - 1), `loss of step ${i + 1}`).toBeLessThan(1e-3);
        i++;
      }
    expect(i).toBe(20);
  });
});

describe.each(["llama-gqa", "llama-mha-tied"])(
  "20 AdamW steps of all of %s, norms without decay, against torch",
  (name) => {
    it("has every loss and gradient norm", async () => {
      const json = goldenJson(name);
      const { losses, gradNorms, learningRate } = json.full;
      const backend = await createCpuBackend();
      using model = await loadModel(goldenFolder(name), { backend });
      const parameters = model.parameters();
      const events = train({
        parameters,
        loss: (batch) => model.loss(uploadBatch(backend, batch, model.config.vocabSize), { checkpointing: true }).loss,
        batches: onlyBatch(json),
        optimizer: adamw({ weightDecay: 0.01, decayVectors: false }),
        schedule: constant({ learningRate, totalSteps: 20 }),
        maxSteps: 20,
      });
      let i = 0;
      for await (const event of events)
        if (event.type === "step") {
          expect(Math.abs(event.loss / losses[i] - 1), `loss of step ${i + 1}`).toBeLessThan(1e-3);
          expect(Math.abs(event.gradNorm / gradNorms[i] - 1), `gradient norm of step ${i + 1}`).toBeLessThan(1e-3);
          i++;
        }
      expect(i).toBe(20);
    });
  },
);

describe("TRL's SFTTrainer on the same rows", () => {
  const { rows, runs } = goldenJson("trl");
  // TRL puts a label at the token itself, we put a target at the token before
  const examples: Example[] = rows.map(
    ({ input_ids, labels }: { input_ids: number[]; labels: number[] }, row: number) => ({
      tokens: Int32Array.from(input_ids),
      targets: Int32Array.from([...labels.slice(1), -100]),
      cut: 0,
      source: { file: "trl", row: row + 1 },
    }),
  );

  it.each([
    ["3x1", { batchSize: 3 }, 1],
    ["1x3", { batchSize: 1 }, 3],
    ["packed", { batchSize: 1, packing: true }, 1],
  ])("%s: the loss and gradient norm it reports", async (run, sizes, accumulation) => {
    const backend = await createCpuBackend();
    using model = await loadModel(goldenFolder("llama-gqa"), { backend });
    const events = train({
      parameters: model.parameters(),
      loss: (batch) => model.loss(uploadBatch(backend, batch, model.config.vocabSize)).loss,
      batches: batches({ examples, seed: 0, maxLength: 96, shuffle: false, ...sizes }),
      optimizer: adamw(),
      schedule: constant({ learningRate: 0, totalSteps: 1 }),
      maxSteps: 1,
      accumulation,
    });
    for await (const event of events)
      if (event.type === "step") {
        expect(Math.abs(event.loss / runs[run].loss - 1)).toBeLessThan(1e-5);
        expect(Math.abs(event.gradNorm / runs[run].gradNorm - 1)).toBeLessThan(1e-5);
      }
  });
});
