import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import { adamw, constant } from "@ft/optim";
import { defineOp, memory, type Op, run, type Tensor, type View, type WideDType } from "@ft/tensor";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bytesOf, failure, history, play, stopAt } from "../test/play.ts";
import { makeRun } from "../test/run.ts";
import { type Tiny, type TinyBatch, tinyBatches, tinyModel, tinyRows } from "../test/tiny.ts";
import { checkpointPath, type StepEvent, type TrainOptions, train } from "./index.ts";
import { afterGoodStep, afterOverflow, initialLossScale, type LossScaleState } from "./loss-scale.ts";

type Narrow = { in: { x: View }; out: { y: View }; attrs: { most: number }; keeps: {}; saved: {} };

/** x, whose gradient becomes infinite beyond `most`, as one in f16 does beyond 65,504. */
const narrowOp: Op<Narrow> = defineOp<Narrow>({
  name: "test/narrow",
  keeps: () => ({}),
  infer: ({ in: { x } }) => ({ out: { y: x }, saved: {} }),
  forward: (p, { in: { x } }) => ({ out: { y: p.copy(x) }, saved: {} }),
  vjp(p, { grad: { y }, attrs: { most } }) {
    const infinite = p.fill({ dtype: y.dtype, shape: [] }, Number.POSITIVE_INFINITY);
    return { x: p.where(p.compare("lt", y, most), y, infinite) };
  },
});

const narrow = (x: Tensor<WideDType, readonly []>, most: number): Tensor<WideDType, readonly []> =>
  run(narrowOp, { in: { x }, attrs: { most }, axes: { y: [] } }).y;

let cpu: CpuBackend;
let model: Tiny;
let dir: string;
beforeEach(async () => {
  cpu = await createCpuBackend({ native: false, poison: true });
  model = tinyModel(cpu);
  dir = await mkdtemp(join(tmpdir(), "ft-scale-"));
});
afterEach(async () => {
  model.dispose();
  expect(memory(cpu).live).toBe(0);
  await rm(dir, { recursive: true });
});

const base = (): TrainOptions<TinyBatch> => ({
  parameters: model.parameters,
  loss: model.loss,
  batches: tinyBatches(tinyRows(16), 4),
  optimizer: adamw({ weightDecay: 0 }),
  schedule: constant({ learningRate: 0.05, totalSteps: 8 }),
  maxSteps: 8,
  clipNorm: 1,
});

async function steps(options: TrainOptions<TinyBatch>): Promise<StepEvent[]> {
  const found: StepEvent[] = [];
  for await (const event of train(options)) if (event.type === "step") found.push(event);
  return found;
}

const facts = (events: readonly StepEvent[]) =>
  events.map(({ loss, gradNorm, learningRate }) => ({ loss, gradNorm, learningRate }));

describe("loss scaling", () => {
  test("by powers of two changes no bit of a run without overflow", async () => {
    const want = facts(await steps(base()));
    const expected = await model.values();
    model.dispose();
    model = tinyModel(cpu);
    const events = await steps({ ...base(), lossScale: {} });
    expect(facts(events)).toEqual(want);
    expect(await model.values()).toEqual(expected);
    expect(events.every(({ lossScale, skipped }) => lossScale === 65_536 && skipped === undefined)).toBe(true);
  });

  test("an overflow leaves out exactly that step and halves the scale", async () => {
    let step = 0;
    const seen: Float32Array[] = [];
    const loss = (batch: TinyBatch) => narrow(model.loss(batch), step === 3 ? 1 : 1e30);
    const events: StepEvent[] = [];
    const options = { ...base(), loss, lossScale: { initScale: 1024 } };
    const counted = {
      ...options.optimizer,
      scalars(at: { step: number; lr: number }) {
        taken.push(at.step);
        return options.optimizer.scalars(at);
      },
    };
    const taken: number[] = [];
    const beforeMicroBatch: TrainOptions<TinyBatch>["beforeMicroBatch"] = (at) => {
      step = at.step;
    };
    for await (const event of train({ ...options, optimizer: counted, beforeMicroBatch })) {
      if (event.type !== "step") continue;
      events.push(event);
      seen.push(await model.values());
    }
    expect(events.map(({ skipped = false }) => skipped)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => n === 3));
    expect(events.map(({ lossScale }) => lossScale)).toEqual([1024, 1024, 1024, 512, 512, 512, 512, 512]);
    expect(seen[2]).toEqual(seen[1]);
    expect(seen[3]).not.toEqual(seen[2]);
    expect(events[2]?.loss).toSatisfy(Number.isFinite);
    expect(events[2]?.gradNorm).not.toSatisfy(Number.isFinite);
    // the optimizer has not seen it: its corrections go on from where they were
    expect(taken).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test("goes down until the gradients fit", async () => {
    const loss = (batch: TinyBatch) => narrow(model.loss(batch), 1);
    const events = await steps({ ...base(), loss, lossScale: { initScale: 2 ** 9, minScale: 2 ** -9 } });
    // what the loss is differentiated with is scale / count
    for (const { lossScale = 0, targetTokens, skipped = false } of events)
      expect(skipped).toBe(lossScale / targetTokens >= 1);
    expect(events.filter(({ skipped }) => skipped).length).toBeGreaterThan(2);
    expect(events.some(({ skipped }) => !skipped)).toBe(true);
  });

  test("at its smallest scale an overflow is the error that it is without", async () => {
    const loss = (batch: TinyBatch) => narrow(model.loss(batch), 0);
    const error = await failure(steps({ ...base(), loss, lossScale: { initScale: 8 } }));
    expect(error.code).toBe("numeric");
    expect(error.message).toMatch(/^step 4: the gradient of .* is not finite/);
    expect((await failure(steps({ ...base(), loss }))).message).toMatch(/^step 1: the gradient of/);
  });

  test("options out of range are refused by name", async () => {
    const cases: [TrainOptions<TinyBatch>["lossScale"] & object, RegExp][] = [
      [{ initScale: 0 }, /initScale is 0/],
      [{ initScale: 1e39 }, /initScale/],
      [{ growthFactor: 1 }, /growthFactor is 1/],
      [{ backoffFactor: 1 }, /backoffFactor is 1/],
      [{ growthInterval: 0.5 }, /growthInterval is 0.5/],
      [{ minScale: 70_000 }, /minScale is 70000/],
    ];
    for (const [lossScale, message] of cases) {
      const error = await failure(steps({ ...base(), lossScale }));
      expect([error.code, error.message]).toEqual(["config", expect.stringMatching(message)]);
    }
  });

  test("a resumed run is the same to the byte, left-out steps and growth included", async () => {
    const lossScale = { initScale: 256, growthInterval: 3 };
    const scaled = (folder: string, init = 1) => {
      const made = makeRun(cpu, folder, 12, init);
      let micro = 0;
      const { beforeMicroBatch, loss } = made.options;
      const options: TrainOptions<TinyBatch> = {
        ...made.options,
        lossScale,
        loss: (batch) => narrow(loss(batch, {}), micro % 5 === 4 ? 1 : 1e30),
        beforeMicroBatch(at) {
          micro = at.draw;
          beforeMicroBatch?.(at);
        },
      };
      return { ...made, options };
    };
    const straight = join(dir, "straight");
    const events = await play(scaled(straight));
    const scales = events.flatMap((event) => (event.type === "step" ? [event.lossScale] : []));
    expect(new Set(scales).size).toBeGreaterThan(2);
    expect(events.some((event) => event.type === "step" && event.skipped)).toBe(true);
    const want = await bytesOf(checkpointPath(straight, 12));
    for (const step of [4, 7, 10]) {
      const stopped = join(dir, String(step));
      const first = scaled(stopped);
      const before = await play(first, stopAt(first.options, step, 0));
      const after = await play(scaled(stopped, 2), { resume: true });
      expect(history([...before, ...after]), `stopped in step ${step}`).toEqual(history(events));
      expect(await bytesOf(checkpointPath(stopped, 12)), `stopped in step ${step}`).toEqual(want);
    }
    const other = scaled(join(dir, "4"));
    const error = await failure(play(other, { resume: true, lossScale: { initScale: 128 } }));
    expect(error.message).toMatch(/was made with lossScale 256/);
  });
});

describe("the scale", () => {
  const options = { initScale: 8, growthInterval: 2 };
  const after = (state: LossScaleState, good: number): LossScaleState =>
    good === 0 ? state : after(afterGoodStep(state, options), good - 1);

  test("doubles after so many good steps in a row; an overflow starts the count anew", () => {
    const first = initialLossScale(options);
    expect(after(first, 1)).toEqual({ scale: 8, good: 1, skipped: 0 });
    expect(after(first, 2)).toEqual({ scale: 16, good: 0, skipped: 0 });
    const overflow = afterOverflow(after(first, 1), options);
    expect(overflow).toEqual({ scale: 4, good: 0, skipped: 1 });
    expect(after(overflow!, 1).scale).toBe(4);
  });

  test("stays within what f32 holds", () => {
    expect(after(initialLossScale(options), 1000).scale).toBe(2 ** 99);
  });

  test("ends at its minimum", () => {
    const small = { scale: 1.5, good: 0, skipped: 4 };
    expect(afterOverflow(small, options)).toEqual({ scale: 1, good: 0, skipped: 5 });
    expect(afterOverflow({ ...small, scale: 1 }, options)).toBeUndefined();
  });
});
