import { createCpuBackend } from "@ft/backend-cpu";
import { adamw, constant } from "@ft/optim";
import { memory, type Parameter, Replay, type Tensor } from "@ft/tensor";
import { cast } from "@ft/tensor/ops";
import { replaying } from "@ft/testing";
import { describe, expect, test } from "vitest";
import { type Tiny, type TinyBatch, tinyBatch, tinyBatches, tinyModel, tinyRows } from "../test/tiny.ts";
import { type TrainEvent, type TrainOptions, train, windowGradients } from "./index.ts";

async function recorder() {
  return replaying(await createCpuBackend({ native: false, poison: true }));
}

const rows = tinyRows(13);

function options(model: Tiny, accumulation: number): TrainOptions<TinyBatch> {
  return {
    parameters: model.parameters,
    loss: model.loss,
    batches: tinyBatches(rows, 2),
    optimizer: adamw(),
    schedule: constant({ learningRate: 0.03, totalSteps: 9 }),
    maxSteps: 9,
    accumulation,
    clipNorm: 0.5,
    beforeMicroBatch: ({ draw }) => model.setDraw(draw),
  };
}

async function losses(events: AsyncIterable<TrainEvent>): Promise<number[]> {
  const found: number[] = [];
  for await (const event of events) if (event.type === "step") found.push(event.loss, event.gradNorm);
  return found;
}

describe("on a backend that replays", () => {
  test.each([1, 3])("a run is the same to the bit, in windows of %i", async (accumulation) => {
    const plain = await createCpuBackend({ native: false, poison: true });
    const want = tinyModel(plain, 1, 0.2);
    const expected = await losses(train(options(want, accumulation)));
    const { backend, calls, forgotten, release } = await recorder();
    const model = tinyModel(backend, 1, 0.2);
    const got = await losses(train({ ...options(model, accumulation), ...model.uploading() }));
    expect(got).toEqual(expected);
    expect(await model.values()).toEqual(await want.values());
    // one key for the whole run: parameters and slots stay where they are
    const micro = calls.filter(({ key }) => key.startsWith("micro-batch"));
    expect(new Set(micro.map(({ key }) => key)).size).toBe(1);
    expect(micro.every(({ inputs }) => /^i32 [\dx]+, i32 [\dx]+, f32 $/.test(inputs))).toBe(true);
    // the optimizer's steps with and without clipping
    const steps = calls.filter(({ key }) => key.startsWith("optimizer step"));
    expect(steps).toHaveLength(9);
    expect(new Set(steps.map(({ key }) => key)).size).toBe(2);
    expect(forgotten).toEqual(new Set(calls.map(({ key }) => key)));
    release();
    model.dispose();
    expect(memory(backend).live).toBe(0);
  });

  test("a loss that uploads by itself is not recorded", async () => {
    const { backend, calls, release } = await recorder();
    const model = tinyModel(backend);
    await losses(train(options(model, 2)));
    expect(calls.filter(({ key }) => key.startsWith("micro-batch"))).toEqual([]);
    release();
    model.dispose();
  });

  test("a parameter that has moved is recorded anew", async () => {
    const { backend, calls, release } = await recorder();
    const model = tinyModel(backend);
    const recording = new Replay("micro-batch");
    const step = async (): Promise<void> => {
      const batch = tinyBatch(rows, [0, 1]);
      const result = await windowGradients(model.parameters, model.uploading(), [batch], { recording });
      for (const grad of result!.grads.values()) grad.dispose();
    };
    await step();
    await step();
    const [, param] = [...model.parameters][0]!;
    moved(param);
    await step();
    const keys = calls.map(({ key }) => key);
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
    release();
    model.dispose();
    expect(memory(backend).live).toBe(0);
  });

  test("what is uploaded is freed, also when the loss throws", async () => {
    const { backend, release } = await recorder();
    const model = tinyModel(backend);
    const { upload } = model.uploading();
    const before = memory(backend).live;
    const loss = (): Tensor<"f32", readonly []> => {
      throw new Error("no loss");
    };
    const failing = windowGradients(model.parameters, { upload, loss }, [tinyBatch(rows, [0])]);
    await expect(failing).rejects.toThrow("no loss");
    expect(memory(backend).live).toBe(before);
    release();
    model.dispose();
  });
});

test("a loss that takes inputs needs an upload", async () => {
  const model = tinyModel(await createCpuBackend({ native: false }));
  const { loss } = model.uploading();
  const wrong = train({ ...options(model, 1), loss: loss as TrainOptions<TinyBatch>["loss"] });
  await expect(wrong.next()).rejects.toThrow(/nothing uploads them/);
  model.dispose();
});

/** The same value in another place. */
function moved(param: Parameter): void {
  param.assign(cast(param, param.dtype));
}
