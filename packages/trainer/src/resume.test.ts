import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { constant, sgd } from "@ft/optim";
import { type Backend, FtError, memory } from "@ft/tensor";
import { randomFrom } from "@ft/testing";
import { verifyFolder } from "@ft/weights";
import { build } from "tsup";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeRun, type Run } from "../test/run.ts";
import type { TrainEvent } from "./events.ts";
import { checkpointPath, listCheckpoints, train } from "./index.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-resume-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

type Options = Run["options"];

/** Trains to the end and frees the model: the run is then in its events and its checkpoint. */
async function play({ model, options }: Run, change: Partial<Options> = {}): Promise<TrainEvent[]> {
  const events: TrainEvent[] = [];
  try {
    for await (const event of train({ ...options, ...change })) events.push(event);
  } finally {
    model.dispose();
  }
  return events;
}

/** Stops the run within a step: before micro-batch `micro` of step `step`. */
function stopAt(options: Options, step: number, micro: number): Partial<Options> {
  const stop = new AbortController();
  return {
    signal: stop.signal,
    beforeMicroBatch(at) {
      options.beforeMicroBatch?.(at);
      if (at.step === step && at.micro === micro) stop.abort();
    },
  };
}

/** Events of a run without what is of the clock, of paths, or of having been stopped. */
function history(events: readonly TrainEvent[]): object[] {
  return events.flatMap((event): object[] => {
    if (event.type === "step") {
      const { seconds: _, tokensPerSecond: __, ...rest } = event;
      return [rest];
    }
    if (event.type === "eval") {
      const { seconds: _, ...rest } = event;
      return [rest];
    }
    return [];
  });
}

async function bytesOf(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const name of (await readdir(folder)).sort()) files.set(name, await readFile(join(folder, name)));
  return files;
}

async function failure(promise: Promise<unknown>): Promise<FtError> {
  const error = await promise.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  if (error instanceof FtError) return error;
  throw error;
}

describe("stop and resume", () => {
  const steps = 20;
  const random = randomFrom(41);
  // The windows of an epoch have 3, 3 and 1 micro-batches.
  const places = Array.from({ length: steps - 2 }, (_, i) => i + 2).flatMap((step) =>
    (step % 3 === 0 ? [0] : [0, 1, 2]).map((micro) => [step, micro] as const),
  );
  const stops = Array.from({ length: 10 }, () => places.splice(random.int(0, places.length - 1), 1)[0]!);

  test.each([1, 2])("bytes are identical, %i threads; stopped at ten random places", async (threads) => {
    const backend: Backend = await createCpuBackend({ threads, poison: true });
    const straight = join(dir, "straight");
    const expected = history(await play(makeRun(backend, straight, steps)));
    const want = await bytesOf(checkpointPath(straight, steps));
    expect([...want.keys()]).toEqual([
      "manifest.json",
      "optimizer.safetensors",
      "parameters.safetensors",
      "state.json",
    ]);

    for (const [step, micro] of stops) {
      const at = `stopped in step ${step}, micro-batch ${micro}`;
      const stopped = join(dir, `${step}-${micro}`);
      const first = makeRun(backend, stopped, steps);
      const before = await play(first, stopAt(first.options, step, micro));
      const end = before.at(-1);
      if (end?.type !== "end" || end.reason !== "aborted") throw new Error(`${at}: it did not stop`);
      // Other weights to begin with, so that they must come from the checkpoint.
      const after = await play(makeRun(backend, stopped, steps, 2), { resume: true });
      const resumedFrom = checkpointPath(stopped, end.step);
      expect(after[0], at).toEqual({ type: "start", step: end.step, totalSteps: steps, resumedFrom });
      expect(history([...before, ...after]), at).toEqual(expected);
      expect(await bytesOf(checkpointPath(stopped, steps)), at).toEqual(want);
      await rm(stopped, { recursive: true });
    }
    expect(memory(backend).live).toBe(0);
    backend.dispose?.();
  });

  test("one run and two threads' run are the same bytes", async () => {
    const bytes = [];
    for (const threads of [1, 2]) {
      const backend = await createCpuBackend({ threads });
      const folder = join(dir, String(threads));
      await play(makeRun(backend, folder, 6));
      bytes.push(await bytesOf(checkpointPath(folder, 6)));
      backend.dispose?.();
    }
    expect(bytes[1]).toEqual(bytes[0]);
  });

  test("stopped after every single step, many times over", async () => {
    const backend = await createCpuBackend({ native: false });
    const straight = join(dir, "straight");
    await play(makeRun(backend, straight, 9));
    const pieces = join(dir, "pieces");
    for (let step = 2; step <= 8; step++) {
      const run = makeRun(backend, pieces, 9, step - 1); // 1 for the first, which nothing is saved of yet
      await play(run, { ...stopAt(run.options, step, 0), resume: true });
    }
    await play(makeRun(backend, pieces, 9, 99), { resume: true });
    expect(await bytesOf(checkpointPath(pieces, 9))).toEqual(await bytesOf(checkpointPath(straight, 9)));
  });

  test("stopped in the very last step, the evaluation at the end is still made", async () => {
    const backend = await createCpuBackend({ native: false });
    const expected = history(await play(makeRun(backend, join(dir, "straight"), 9)));
    const first = makeRun(backend, join(dir, "stopped"), 9);
    const before = await play(first, stopAt(first.options, 9, 0));
    expect(before.at(-1)).toMatchObject({ type: "end", step: 9, reason: "aborted" });
    const after = await play(makeRun(backend, join(dir, "stopped"), 9, 2), { resume: true });
    expect(after.at(-1)).toMatchObject({ type: "end", step: 9, reason: "finished" });
    expect(history([...before, ...after])).toEqual(expected);
  });

  test("a run that has ended stays as it is", async () => {
    const backend = await createCpuBackend({ native: false });
    await play(makeRun(backend, dir, 5));
    const events = await play(makeRun(backend, dir, 5, 2), { resume: true });
    expect(events.map((event) => event.type)).toEqual(["start", "end"]);
  });

  test("an evaluation that was interrupted is made up for after the resume", async () => {
    const backend = await createCpuBackend({ native: false });
    const expected = history(await play(makeRun(backend, join(dir, "straight"), 9)));
    const stop = new AbortController();
    const first = makeRun(backend, join(dir, "stopped"), 9);
    const before = await play(first, {
      signal: stop.signal,
      evaluate: {
        every: 4,
        async run(signal) {
          stop.abort();
          signal?.throwIfAborted();
          return { loss: Number.NaN };
        },
      },
    });
    expect(before.at(-1)).toMatchObject({ type: "end", step: 4, reason: "aborted" });
    const after = await play(makeRun(backend, join(dir, "stopped"), 9), { resume: true });
    expect(history([...before, ...after])).toEqual(expected);
  });
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
    const { readMeta } = await import("./checkpoint/meta.ts");
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

test("killed again and again, the run still ends as if nothing had happened", async () => {
  const steps = 40;
  const backend = await createCpuBackend({ native: false });
  const straight = join(dir, "straight");
  await play(makeRun(backend, straight, steps));

  await build({
    entry: [fileURLToPath(new URL("../test/killed.ts", import.meta.url))],
    outDir: join(dir, "built"),
    format: "esm",
    config: false,
    silent: true,
    noExternal: [/^@ft\//],
    esbuildOptions: (options) => {
      options.conditions = ["@ft/source"];
      options.alias = { koffi: fileURLToPath(new URL("../test/no-koffi.ts", import.meta.url)) };
    },
  });
  const [script = ""] = (await readdir(join(dir, "built"))).filter((name) => /^killed\.m?js$/.test(name));
  const killed = join(dir, "killed");
  const random = randomFrom(42);
  let kills = 0;
  for (let round = 0; round < 6; round++) {
    const child = spawn(process.execPath, [join(dir, "built", script), killed, String(steps)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    await Promise.race([once(child.stdout, "data"), exited]); // at least one checkpoint
    await new Promise((wait) => setTimeout(wait, random.int(0, 60)));
    child.kill("SIGKILL");
    const [code, signal] = await exited;
    expect(code).not.toBe(1);
    if (signal === "SIGKILL") kills++;
    const [newest] = await listCheckpoints(killed);
    expect((await verifyFolder(newest!.path)).size).toBe(3);
  }
  expect(kills).toBeGreaterThan(3);
  await play(makeRun(backend, killed, steps, 2), { resume: true });
  expect(await bytesOf(checkpointPath(killed, steps))).toEqual(await bytesOf(checkpointPath(straight, steps)));
});
