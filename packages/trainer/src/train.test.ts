import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import { adamw, constant, type Optimizer, sgd } from "@ft/optim";
import { memory, parameter, scalar, type Tensor } from "@ft/tensor";
import { scale } from "@ft/tensor/ops";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { failure } from "../test/play.ts";
import { type Tiny, type TinyBatch, tinyBatches, tinyModel, tinyRows } from "../test/tiny.ts";
import type { TrainEvent } from "./events.ts";
import { loadParameters, newestCheckpoint, type TrainOptions, train } from "./index.ts";

let cpu: CpuBackend;
let model: Tiny;
let dir: string;
beforeEach(async () => {
  cpu = await createCpuBackend({ native: false, poison: true });
  model = tinyModel(cpu);
  dir = await mkdtemp(join(tmpdir(), "ft-train-"));
});
afterEach(async () => {
  model.dispose();
  expect(memory(cpu).live).toBe(0);
  await rm(dir, { recursive: true });
});

const rows = tinyRows(16);
const base = (): TrainOptions<TinyBatch> => ({
  parameters: model.parameters,
  loss: model.loss,
  batches: tinyBatches(rows, 4),
  optimizer: adamw({ weightDecay: 0 }),
  schedule: constant({ learningRate: 0.05, totalSteps: 8 }),
  maxSteps: 8,
});
async function collect(options: TrainOptions<TinyBatch>, into: TrainEvent[] = []): Promise<TrainEvent[]> {
  for await (const event of train(options)) into.push(event);
  return into;
}
/** 264 weights, two moments of each and its gradient are alive together at least; a process is more than a few pages. */
const peaks = {
  tensors: expect.toSatisfy((n: number) => n > 4 * 4 * 264),
  resident: expect.toSatisfy((n: number) => n > 2 ** 24 && n < 2 ** 40),
};
const only = <T extends TrainEvent["type"]>(events: readonly TrainEvent[], type: T) =>
  events.filter((event): event is Extract<TrainEvent, { type: T }> => event.type === type);

test("it learns, and reports every step", async () => {
  const events = await collect({ ...base(), maxSteps: 1000, epochs: 15 });
  const all = only(events, "step");
  expect(events[0]).toEqual({ type: "start", step: 0, totalSteps: 60 });
  expect(events.at(-1)).toEqual({ type: "end", step: 60, reason: "finished", memory: peaks });
  expect(all.map((event) => event.step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
  expect(Math.abs(all[0]!.loss - Math.log(12))).toBeLessThan(0.5);
  expect(all.at(-1)!.loss).toBeLessThan(0.1);
  expect(all[1]).toMatchObject({ epoch: 0.5, learningRate: 0.05 });
  // every row is seen once an epoch: its positions that are not padding, and those with a loss
  const perEpoch = (key: "tokens" | "targetTokens") => all.slice(0, 4).reduce((sum, event) => sum + event[key], 0);
  expect(perEpoch("tokens")).toBe(rows.reduce((sum, row) => sum + row.tokens.length, 0));
  expect(perEpoch("targetTokens")).toBe(rows.reduce((sum, row) => sum + row.tokens.length - 2, 0));
});

test.each(["bf16", "f16"] as const)("weights in %s are refused, by name", async (dtype) => {
  using weight = parameter(cpu, dtype, ["out", "in"], [1, 2], new Uint16Array(2));
  const parameters = new Map([["up.weight", weight]]);
  const found = await failure(collect({ ...base(), parameters }));
  expect(found.message).toMatch(new RegExp(`up.weight is ${dtype}.*lost`));
});

test("every micro-batch is announced with its place and a draw of its own", async () => {
  const seen: string[] = [];
  const beforeMicroBatch: TrainOptions<TinyBatch>["beforeMicroBatch"] = ({ step, micro, draw }) => {
    seen.push(`${step}.${micro}:${draw}`);
  };
  await collect({ ...base(), accumulation: 3, maxSteps: 3, beforeMicroBatch });
  expect(seen).toEqual(["1.0:0", "1.1:1", "1.2:2", "2.0:3", "3.0:4", "3.1:5", "3.2:6"]);
});

test("options that contradict each other are config errors", async () => {
  const cases: [Partial<TrainOptions<TinyBatch>>, RegExp][] = [
    [{ maxSteps: 0 }, /maxSteps is 0/],
    [{ accumulation: 1.5 }, /accumulation is 1.5/],
    [{ epochs: Number.NaN }, /epochs is NaN/],
    [{ clipNorm: 0 }, /clipNorm is 0/],
    [{ resume: true }, /resume without checkpoint/],
    [{ earlyStopping: { patience: 1 } }, /earlyStopping without evaluate/],
    [{ parameters: new Map() }, /no parameters to train/],
    [{ checkpoint: { dir, keep: 0 } }, /checkpoint.keep is 0/],
    [{ batches: { ...base().batches, perEpoch: 0 } }, /an epoch has 0 micro-batches/],
  ];
  for (const [change, message] of cases) {
    const error = await failure(collect({ ...base(), ...change }));
    expect(error.message).toMatch(message);
    expect(["config", "data"]).toContain(error.code);
  }
});

test("live buffers stay the same from step to step, and a consumer may leave at any time", async () => {
  const live: number[] = [];
  for await (const event of train({ ...base(), accumulation: 2, clipNorm: 0.1, maxSteps: 100 })) {
    if (event.type === "step") live.push(memory(cpu).live);
    if (live.length === 6) break;
  }
  expect(live).toEqual(Array.from({ length: 6 }, () => live[0]));
  expect(memory(cpu).live).toBe(model.parameters.size);
});

test("clipping limits the step but not the norm that is reported", async () => {
  const before = await model.values();
  const options = { ...base(), optimizer: sgd(), schedule: constant({ learningRate: 1, totalSteps: 1 }), maxSteps: 1 };
  const [step] = only(await collect({ ...options, clipNorm: 1e-3 }), "step");
  const after = await model.values();
  expect(step!.gradNorm).toBeGreaterThan(0.01);
  expect(Math.hypot(...after.map((x, i) => x - before[i]!))).toBeCloseTo(1e-3, 6);
});

describe("evaluation", () => {
  const losses = (values: number[]) => async () => ({ loss: values.shift() ?? Number.NaN });

  test("runs every so many steps, at the start on request, and once more at the end", async () => {
    const run = losses([9, 5, 4, 6]);
    const events = await collect({ ...base(), maxSteps: 7, evaluate: { every: 3, atStart: true, run } });
    expect(only(events, "eval").map(({ step, loss, best }) => [step, loss, best])).toEqual([
      [0, 9, false],
      [3, 5, true],
      [6, 4, true],
      [7, 6, false],
    ]);
    expect(events.at(-1)).toEqual({
      type: "end",
      step: 7,
      reason: "finished",
      bestStep: 6,
      bestLoss: 4,
      memory: peaks,
    });
  });

  test("early stopping: small improvements add up, then patience runs out", async () => {
    const run = losses([5, 4.95, 4.85, 4.84, 4.8, 4.79]);
    const earlyStopping = { patience: 2, minDelta: 0.1 };
    const events = await collect({ ...base(), evaluate: { every: 1, run }, earlyStopping });
    // 4.95 is no improvement on 5, 4.85 is; 4.84 and 4.80 are none on 4.85
    expect(events.at(-1)).toEqual({
      type: "end",
      step: 5,
      reason: "early-stopping",
      bestStep: 5,
      bestLoss: 4.8,
      memory: peaks,
    });
  });

  test("the best checkpoint is kept through rotation, and can be loaded", async () => {
    const run = losses([5, 4, 6, 7, 8, 9, 10, 11]);
    const values: Float32Array[] = [];
    const options = { ...base(), evaluate: { every: 1, run }, checkpoint: { dir, every: 1, keep: 2 } };
    for await (const event of train(options)) if (event.type === "step") values.push(await model.values());
    expect((await readdir(dir)).sort()).toEqual(["step-000002", "step-000007", "step-000008"]);
    await loadParameters(join(dir, "step-000002"), model.parameters);
    expect(await model.values()).toEqual(values[1]);
  });

  test("a loss that is not finite stops the run", async () => {
    const options = { ...base(), evaluate: { every: 2, run: losses([1]) } };
    const error = await failure(collect(options));
    expect(error.code).toBe("numeric");
    expect(error.message).toMatch(/evaluation loss after step 4 is NaN/);
    expect(error.hint).toContain("begin anew");
    const atStart = { ...base(), evaluate: { every: 2, atStart: true, run: losses([]) } };
    expect((await failure(collect(atStart))).hint).toBe("look at the held-out rows and at the model's weights");
  });

  test("sees the optimizer's own weights where they differ, and training goes on with the others", async () => {
    const plain = sgd();
    const halved: Optimizer<{}, "lr"> = {
      ...plain,
      evaluated({ param }) {
        const x: Tensor<any> = param;
        return scale(x, scalar(cpu, "f32", 0.5));
      },
    };
    const seen: Float32Array[] = [];
    const run = async () => {
      seen.push(await model.values());
      return { loss: 1 };
    };
    const values: Float32Array[] = [];
    for await (const event of train({ ...base(), maxSteps: 2, optimizer: halved, evaluate: { every: 1, run } }))
      if (event.type === "step" || event.type === "eval") values.push(await model.values());
    expect(values[1]).toEqual(values[0]);
    expect(seen[0]).toEqual(values[0]!.map((x) => x / 2));
    expect(values[2]).not.toEqual(values[0]);
  });
});

describe("numbers that are not finite", () => {
  /** Makes the loss, or only the gradient, of one row bad from step 4 on. */
  const poisoned = (value: number, what: "loss" | "gradient"): TrainOptions<TinyBatch> => {
    let step = 0;
    return {
      ...base(),
      checkpoint: { dir, every: 100 },
      beforeMicroBatch: (at) => {
        step = at.step;
      },
      loss(batch) {
        const sum = model.loss(batch);
        if (step < 4) return sum;
        if (what === "loss") return scale(sum, scalar(cpu, "f32", value));
        // 0 forward, but the factors meet in the other order on the way back, and overflow
        const [tiny, huge] = [scalar(cpu, "f32", 1e-30), scalar(cpu, "f32", 1e30)];
        return scale(scale(scale(scale(sum, tiny), tiny), huge), huge);
      },
    };
  };

  test.each([
    [
      "a NaN loss",
      Number.NaN,
      "loss",
      /step 4: the loss is NaN, in the batch of rows \d+, \d+, \d+, \d+; the weights are still those of step 3/,
    ],
    ["an infinite loss", Number.POSITIVE_INFINITY, "loss", /step 4: the loss is Infinity/],
  ] as const)("%s stops the run before the step; the last good state is saved", async (_, value, what, message) => {
    const events: TrainEvent[] = [];
    const values: Float32Array[] = [];
    const run = async () => {
      for await (const event of train(poisoned(value, what))) {
        events.push(event);
        if (event.type === "step") values.push(await model.values());
      }
    };
    const error = await failure(run());
    expect(error.code).toBe("numeric");
    expect(error.message).toMatch(message);
    expect(values).toHaveLength(3);
    expect(await model.values()).toEqual(values[2]);
    expect(only(events, "checkpoint").map((event) => event.step)).toEqual([3]);
    expect((await newestCheckpoint(dir)).path).toBe(join(dir, "step-000003"));
  });

  test("a gradient that is not finite under a finite loss is named", async () => {
    const error = await failure(collect(poisoned(0, "gradient")));
    expect(error.code).toBe("numeric");
    expect(error.message).toMatch(
      /^step 4: the gradient of embed_tokens.weight, .* is not finite, in the batch of rows /,
    );
    expect((await newestCheckpoint(dir)).path).toBe(join(dir, "step-000003"));
  });

  test("weights that are not finite are not saved", async () => {
    const options = { ...base(), schedule: constant({ learningRate: 1e38, totalSteps: 8 }), optimizer: sgd() };
    const error = await failure(collect({ ...options, checkpoint: { dir, every: 1 } }));
    expect(error.code).toBe("numeric");
    expect(error.message).toMatch(/after step 1 the weights .* are not finite; nothing was saved/);
    expect(await readdir(dir)).toEqual([]);
  });
});
