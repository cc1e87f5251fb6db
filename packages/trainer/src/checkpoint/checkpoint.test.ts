import { cp, mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { constant, sgd } from "@ft/optim";
import { type Backend, memory } from "@ft/tensor";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bytesOf, failure, play } from "../../test/play.ts";
import { makeRun } from "../../test/run.ts";
import { checkpointPath, listCheckpoints, train } from "../index.ts";
import { readMeta } from "./meta.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-resume-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe("what is found when resuming", () => {
  const saved = async (backend: Backend, steps = 6): Promise<void> => {
    const run = makeRun(backend, dir, steps);
    await play(run, {
      checkpoint: { dir, every: 2, keep: 3, keepBest: false },
      schedule: constant({ learningRate: 0.01, totalSteps: 6 }),
    });
  };
  const schedule = constant({ learningRate: 0.01, totalSteps: 6 });

  test("a damaged checkpoint is skipped with a warning, and written anew when its step comes", async () => {
    const backend = await createCpuBackend({ native: false });
    await saved(backend);
    const want = await bytesOf(checkpointPath(dir, 6));
    await truncate(join(checkpointPath(dir, 6), "optimizer.safetensors"), 100);
    // and what a killed writer leaves behind
    await cp(checkpointPath(dir, 4), join(dir, ".step-000006.elsewhere.1.abcdef.partial"), { recursive: true });
    const events = await play(makeRun(backend, dir, 6, 2), { resume: true, schedule });
    expect(events[0]).toMatchObject({ type: "start", step: 4 });
    expect(events[1]).toMatchObject({ type: "warning" });
    expect(events[1]?.type === "warning" && events[1].message).toMatch(
      /skipped a damaged checkpoint: .*step-000006.optimizer/,
    );
    expect(await bytesOf(checkpointPath(dir, 6))).toEqual(want);
  });

  test("when none is whole it is an error, and nothing is touched", async () => {
    const backend = await createCpuBackend({ native: false });
    await saved(backend);
    for (const { path } of await listCheckpoints(dir)) await truncate(join(path, "state.json"), 3);
    const before = await Promise.all((await listCheckpoints(dir)).map(({ path }) => bytesOf(path)));
    const error = await failure(play(makeRun(backend, dir, 6), { resume: true, schedule }));
    expect(error.code).toBe("format");
    expect(error.message).toMatch(/none of the 3 checkpoints in .* is whole/);
    expect(await Promise.all((await listCheckpoints(dir)).map(({ path }) => bytesOf(path)))).toEqual(before);
  });

  test("no checkpoint yet: a warning, and a start from the beginning", async () => {
    const backend = await createCpuBackend({ native: false });
    const events = await play(makeRun(backend, join(dir, "new"), 2), { resume: true });
    expect(events[0]).toEqual({ type: "start", step: 0, totalSteps: 2 });
    expect(events[1]).toMatchObject({ type: "warning", message: expect.stringMatching(/no checkpoint .* yet/) });
  });

  test("another run's folder is refused unless resumed", async () => {
    const backend = await createCpuBackend({ native: false });
    await saved(backend);
    const error = await failure(play(makeRun(backend, dir, 6)));
    expect(error.code).toBe("exists");
    expect(error.message).toMatch(/step-000006 is a checkpoint of an earlier run/);
  });

  test.each([
    ["another seed", { identity: { seed: 4 } }, "config", /was made with seed 3, this run has 4/],
    ["another dtype", { identity: { seed: 3, dtype: "bf16" } }, "config", /made with dtype f32, this run has bf16/],
    ["another accumulation", { accumulation: 2 }, "config", /was made with accumulation 3, this run has 2/],
    ["another optimizer", { optimizer: sgd() }, "config", /was made with optimizer adamw, this run has sgd/],
  ] as const)("%s is refused before anything changes", async (_, change, code, message) => {
    const backend = await createCpuBackend({ native: false });
    await saved(backend);
    const run = makeRun(backend, dir, 6, 2);
    const before = await run.model.values();
    const events = train({ ...run.options, resume: true, schedule, ...change });
    const error = await failure(events.next());
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(await run.model.values()).toEqual(before);
    run.model.dispose();
    expect(memory(backend).live).toBe(0);
  });

  test("other trainable parameters are refused before anything changes", async () => {
    const backend = await createCpuBackend({ native: false });
    await saved(backend);
    const run = makeRun(backend, dir, 6, 2);
    const before = await run.model.values();
    const parameters = new Map([...run.model.parameters].filter(([name]) => name !== "up.bias"));
    const error = await failure(train({ ...run.options, resume: true, schedule, parameters }).next());
    expect(error.message).toMatch(/up\.bias.*/);
    expect(await run.model.values()).toEqual(before);
    run.model.dispose();
    expect(memory(backend).live).toBe(0);
  });

  test("another schedule is allowed, with a warning that says both", async () => {
    const backend = await createCpuBackend({ native: false });
    await saved(backend);
    const events = await play(makeRun(backend, dir, 8), {
      resume: true,
      schedule: constant({ learningRate: 0.02, totalSteps: 8 }),
    });
    expect(events[1]).toMatchObject({
      type: "warning",
      message: expect.stringMatching(/from constant \(learningRate 0.01, .* to constant \(learningRate 0.02/),
    });
    expect(events.at(-1)).toMatchObject({ type: "end", step: 8 });
  });

  test("a state.json that is not ours is a format error", async () => {
    const backend = await createCpuBackend({ native: false });
    await saved(backend);
    const path = join(dir, "state.json");
    for (const [text, message] of [
      ["{", /cannot be read as JSON/],
      ["[]", /not an object/],
      ['{"version":2}', /version 2 where 1 is known/],
      ['{"version":1,"state":{"step":-1}}', /"state" is missing or malformed/],
    ] as const) {
      await writeFile(path, text);
      const error = await failure(readMeta(path));
      expect(error.code).toBe("format");
      expect(error.message).toMatch(message);
    }
  });
});
