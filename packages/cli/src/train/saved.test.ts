import { FtError } from "@ft/tensor";
import type { TrainEvent } from "@ft/trainer";
import { describe, expect, it } from "vitest";
import { describeError, exitCode } from "../errors.ts";
import { withPeak, withSaved } from "./saved.ts";

const lost = new FtError("backend", "[cuda] CUDA_ERROR_UNKNOWN (999): the card was lost", "look at nvidia-smi");

async function failing(error: Error, ...given: readonly object[]): Promise<unknown> {
  async function* events(): AsyncGenerator<TrainEvent, void, undefined> {
    yield* given as TrainEvent[];
    throw error;
  }
  try {
    for await (const _ of withSaved(events(), { tensors: 1e9, resident: 2.5e9 }));
  } catch (caught) {
    return caught;
  }
  return undefined;
}

describe("withSaved", () => {
  it("says after which step the card was lost, and that the checkpoint is intact", async () => {
    const error = await failing(
      lost,
      { type: "start", step: 0 },
      { type: "checkpoint", step: 4 },
      { type: "step", step: 6 },
    );
    expect(describeError(error)).toMatch(/^error: after step 6: \[cuda\] .*the card was lost; the plan was 2\.5/);
    expect(describeError(error)).toMatch(/checkpoint of step 4 is intact: continue with --resume/);
    expect(exitCode(error)).toBe(2);
  });

  it("promises nothing where nothing was saved, and lets other errors pass", async () => {
    expect(describeError(await failing(lost, { type: "start", step: 0 }))).toMatch(/no checkpoint was written yet/);
    const other = new FtError("data", "row 3", "mend it");
    expect(await failing(other)).toBe(other);
  });
});

it("an error under which giving things back failed as well is told by its first part", () => {
  const both = Object.assign(new Error("disposing failed"), { name: "SuppressedError", suppressed: lost });
  expect([exitCode(both), describeError(both)]).toEqual([2, expect.stringContaining("the card was lost")]);
});

it("withPeak: the end has what the backend says of memory at that moment, other events are as they were", async () => {
  const step = { type: "checkpoint", step: 2, path: "x", best: false } as const;
  let held = 1;
  async function* events(): AsyncGenerator<TrainEvent, void, undefined> {
    yield step;
    held = 7;
    yield { type: "end", step: 2, reason: "finished", memory: { tensors: 1, resident: 1 } };
  }
  const seen: TrainEvent[] = [];
  for await (const event of withPeak(events(), () => ({ tensors: held, resident: 2 * held }))) seen.push(event);
  expect(seen).toEqual([step, { type: "end", step: 2, reason: "finished", memory: { tensors: 7, resident: 14 } }]);
});
