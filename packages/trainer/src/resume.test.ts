import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { type Backend, memory } from "@ft/tensor";
import { randomFrom } from "@ft/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bytesOf, history, play, stopAt } from "../test/play.ts";
import { makeRun } from "../test/run.ts";
import { checkpointPath } from "./index.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-resume-"));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

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
