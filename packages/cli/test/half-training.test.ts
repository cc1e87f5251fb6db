import { createCpuBackend } from "@ft/backend-cpu";
import { loadAdapter } from "@ft/lora";
import { type Checkpointing, loadModel, uploadBatch } from "@ft/models";
import { adamw, constant } from "@ft/optim";
import type { Backend, FloatDType } from "@ft/tensor";
import { replaying } from "@ft/testing";
import { type StepEvent, type TrainOptions, train } from "@ft/trainer";
import { describe, expect, it } from "vitest";
import { goldenBatch, goldenFolder, goldenJson } from "../../models/test/goldens.ts";

const name = "llama-gqa";
const json = goldenJson(name);
const batch = { ...goldenBatch(json.padded), rows: [0, 1, 2] };
const [learningRate] = json.trace.learningRates;

/** Twenty steps of LoRA over activations in a dtype. */
async function trace(
  backend: Backend,
  dtype: FloatDType,
  { checkpointing = false, ...more }: { checkpointing?: Checkpointing; lossScale?: object } = {},
): Promise<StepEvent[]> {
  using model = await loadModel(goldenFolder(name), { backend, dtype });
  const adapter = await loadAdapter(model, `${goldenFolder(name)}/adapter`);
  const options: TrainOptions<typeof batch, ReturnType<typeof uploadBatch>> = {
    parameters: adapter.parameters(),
    upload: (host) => uploadBatch(backend, host, model.config.vocabSize),
    loss: (_, inputs) => model.loss(inputs, { checkpointing }).loss,
    batches: { perEpoch: 1, batchAt: () => batch },
    optimizer: adamw({ weightDecay: 0.01 }),
    schedule: constant({ learningRate, totalSteps: 20 }),
    beforeMicroBatch: ({ draw }) => adapter.train(draw),
    maxSteps: 20,
    ...more,
  };
  const steps: StepEvent[] = [];
  for await (const event of train(options)) if (event.type === "step") steps.push(event);
  return steps;
}

const numbers = (steps: readonly StepEvent[]) => steps.map(({ loss, gradNorm }) => [loss, gradNorm]);

describe.each([
  ["bf16", {}, 2 ** -8],
  ["f16", { lossScale: {} }, 2 ** -10],
] as const)("20 steps of LoRA over activations in %s", (dtype, more, unit) => {
  it("follow the losses of f32", async () => {
    const want = await trace(await createCpuBackend(), "f32");
    const steps = await trace(await createCpuBackend(), dtype, more);
    expect(steps.some(({ skipped }) => skipped)).toBe(false);
    // at this rate the run swings, and carries early roundings on: the first steps are held to their own rounding
    for (const [i, { loss }] of steps.entries())
      expect(Math.abs(loss / want[i]!.loss - 1), `loss of step ${i + 1}`).toBeLessThan(i < 4 ? unit : 12 * unit);
  });

  it("are the same to the bit when they are replayed, and when blocks are recomputed", async () => {
    const make = () => createCpuBackend({ poison: true });
    const want = numbers(await trace(await make(), dtype, more));
    const { backend, calls, release } = replaying(await make());
    expect(numbers(await trace(backend, dtype, more))).toEqual(want);
    // a micro-batch, the norm of its gradients and the optimizer's step, twenty times
    expect(calls).toHaveLength(60);
    expect(new Set(calls.map(({ key }) => key)).size).toBe(3);
    release();
    expect(numbers(await trace(await make(), dtype, { ...more, checkpointing: true }))).toEqual(want);
  });
});
