import { readdirSync, readlinkSync, truncateSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { type AnyOptimizer, adamw, type Placement, sgd, withMasterWeights } from "@ft/optim";
import { type Backend, bf16ToF32, FtError, f32ToBf16, memory } from "@ft/tensor";
import { openSafetensors } from "@ft/weights";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bytesOf, failure, history, play, stopAt } from "../test/play.ts";
import { makeRun, type Run } from "../test/run.ts";
import { checkpointPath, type TrainEvent, train } from "./index.ts";

let dir: string;
let backend: Backend;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-placed-"));
  backend = await createCpuBackend({ poison: true });
});
afterEach(async () => {
  await rm(dir, { recursive: true });
  expect(memory(backend).live).toBe(0);
});

const optimizer = adamw({ weightDecay: 0.1, decayVectors: false });
const kinds: [string, "f32" | "bf16", AnyOptimizer][] = [
  ["f32 weights", "f32", optimizer],
  ["bf16 weights with f32 masters", "bf16", withMasterWeights(optimizer)],
];

describe.each(kinds)("%s", (_, dtype, optimizer) => {
  const run = (folder: string, optimizerPlacement: Placement, init = 1): Run => {
    const { model, options } = makeRun(backend, folder, 9, init, dtype);
    return { model, options: { ...options, optimizer, optimizerPlacement } };
  };

  test("the same bytes wherever the slots lie, also when a resume moves them", async () => {
    const straight = join(dir, "straight");
    const expected = history(await play(run(straight, "device")));
    const want = await bytesOf(checkpointPath(straight, 9));
    const all: readonly Placement[] = ["device", "host", { file: dir }];
    for (const [i, placement] of all.entries()) {
      const folder = join(dir, String(i));
      const first = run(folder, placement);
      const before = await play(first, stopAt(first.options, 6, 0));
      const after = await play(run(folder, all[(i + 1) % all.length]!, 2), { resume: true });
      expect(after[0]).toMatchObject({ step: 6, resumedFrom: checkpointPath(folder, 6) });
      expect(history([...before, ...after])).toEqual(expected);
      expect(await bytesOf(checkpointPath(folder, 9))).toEqual(want);
    }
    // the file of slots is nowhere to be seen, during the run or after it
    expect(readdirSync(dir).sort()).toEqual(["0", "1", "2", "straight"]);
  });
});

test("a checkpoint of bf16 weights holds their masters, of which they are the rounding", async () => {
  const { model, options } = makeRun(backend, dir, 4, 1, "bf16");
  await play({ model, options: { ...options, optimizer: withMasterWeights(sgd()) } });
  await using weights = await openSafetensors(join(checkpointPath(dir, 4), "parameters.safetensors"));
  await using slots = await openSafetensors(join(checkpointPath(dir, 4), "optimizer.safetensors"));
  expect([...slots.tensors.values()].map(({ name, dtype }) => `${dtype} ${name}`)).toEqual([
    "F32 master:embed_tokens.weight",
    "F32 master:up.weight",
    "F32 master:lm_head.weight",
  ]);
  for (const name of ["embed_tokens.weight", "up.weight", "lm_head.weight"]) {
    const master = await slots.read(`master:${name}`, "f32");
    const weight = await weights.read(name, "bf16");
    expect(weights.tensors.get(name)?.dtype).toBe("BF16");
    expect(weight).toEqual(f32ToBf16(master));
    expect(master).not.toEqual(bf16ToF32(weight));
  }
});

test("bf16 weights learn as f32 ones do", async () => {
  const last = (events: readonly TrainEvent[]): number =>
    events.reduce((loss, event) => (event.type === "eval" ? event.loss : loss), Number.NaN);
  const [f32, bf16] = [makeRun(backend, join(dir, "f32"), 60), makeRun(backend, join(dir, "bf16"), 60, 1, "bf16")];
  const want = last(await play(f32));
  const got = last(await play(bf16, { optimizer: withMasterWeights(f32.options.optimizer) }));
  expect(want).toBeLessThan(1.5); // from log 12 = 2.48
  // Weights and gradients of 8 bits of significand: each is off by up to 2^-9 of itself.
  expect(Math.abs(got - want) / want).toBeLessThan(0.02);
});

describe("a file of slots that fails", () => {
  test("in a folder that is not there: no event, an error that says where", async () => {
    const file = join(dir, "missing");
    const error = await failure(play(makeRun(backend, dir, 4), { optimizerPlacement: { file } }));
    expect([error.code, error.message]).toEqual(["io", expect.stringContaining(`optimizer slots in ${file}`)]);
  });

  test.skipIf(process.platform !== "linux")("while training: what was saved before is whole and goes on", async () => {
    const straight = join(dir, "straight");
    await play(makeRun(backend, straight, 9));
    const folder = join(dir, "cut");
    const { model, options } = makeRun(backend, folder, 9);
    const seen: TrainEvent[] = [];
    const cut = async (): Promise<void> => {
      const events = train({
        ...options,
        optimizerPlacement: { file: dir },
        checkpoint: { dir: folder, every: 2, keep: 9 },
      });
      for await (const event of events) {
        seen.push(event);
        if (event.type === "step" && event.step === 5) truncateSync(slotsFile(), 100);
      }
    };
    const error = await failure(cut());
    model.dispose();
    expect([error.code, error.message]).toEqual([
      "io",
      expect.stringMatching(/slots in .* was cut off before byte \d+; resume from the last/),
    ]);
    expect(seen.at(-1)).toMatchObject({ type: "step", step: 5 });
    expect(readdirSync(folder).sort()).toEqual(["step-000002", "step-000004"]);
    await play(makeRun(backend, folder, 9, 2), { resume: true, optimizerPlacement: { file: dir } });
    expect(await bytesOf(checkpointPath(folder, 9))).toEqual(await bytesOf(checkpointPath(straight, 9)));
  });
});

/** The open file without a name that this process has in `dir`. */
function slotsFile(): string {
  for (const fd of readdirSync("/proc/self/fd")) {
    const path = `/proc/self/fd/${fd}`;
    try {
      if (readlinkSync(path).startsWith(join(dir, ".optimizer-slots"))) return path;
    } catch {
      // closed meanwhile
    }
  }
  throw new FtError("missing", "there is no file of slots", "train with one");
}
