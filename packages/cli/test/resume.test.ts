import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { loadTokenizer } from "@ft/data";
import { philox } from "@ft/tensor";
import { checkpointPath, type StepEvent } from "@ft/trainer";
import { beforeAll, describe, expect, it } from "vitest";
import { resolveConfig } from "../src/config/read-config.ts";
import { settle } from "../src/config/settle.ts";
import type { PartialConfig } from "../src/config/train-config.ts";
import { openTemplate } from "../src/run/open-model.ts";
import { loadBase } from "../src/train/base.ts";
import { optimizerOf } from "../src/train/optimizer.ts";
import { recordOf } from "../src/train/record.ts";
import { prepareRows } from "../src/train/rows.ts";
import { runTraining } from "../src/train/run.ts";
import { trainablesOf } from "../src/train/trainables.ts";
import { emptyFolder } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

const steps = 30;
/** Everything that could lose its place: dropout, shuffling over three epochs, accumulation with a partial last window, warm-up, early-stopping counters. */
const recipe: PartialConfig = {
  maxSteps: steps,
  batchSize: 2,
  accumulation: 3,
  lora: { r: 4, dropout: 0.2 },
  learningRate: 5e-3,
  warmupSteps: 5,
  evalEvery: 4,
  saveEvery: 7,
  patience: 20,
  validationFraction: 0.1,
  keep: 100,
};

interface Outcome {
  readonly steps: readonly StepEvent[];
  /** the files of the last checkpoint: weights, moments */
  readonly files: readonly Buffer[];
}

/** Runs a configuration with this many threads, stopping after a step if told, and gives what it left. */
async function runOnce(given: PartialConfig, threads: number, stopAfter?: number): Promise<Outcome> {
  const backend = await createCpuBackend({ threads });
  const asked = resolveConfig(given, {});
  const tokenizer = await loadTokenizer(asked.model);
  const { model: loaded } = await loadBase(asked, backend);
  using model = loaded;
  const config = settle(asked, { context: model.config.maxPositions });
  const template = await openTemplate(tokenizer);
  const rows = await prepareRows(config, tokenizer, template);
  const trainables = trainablesOf(config, model, asked.model);
  const record = await recordOf(config, asked.model, template.source);
  const stop = new AbortController();
  const checkpoints = join(config.out, "checkpoints");
  const seen: StepEvent[] = [];
  for await (const event of runTraining({
    config,
    record,
    model,
    rows,
    trainables,
    optimizer: optimizerOf(config),
    checkpoints,
    signal: stop.signal,
  })) {
    if (event.type === "step") seen.push(event);
    if (event.type === "step" && event.step === stopAfter) stop.abort();
  }
  const last = checkpointPath(checkpoints, seen.at(-1)?.step ?? 0);
  const files = ["parameters.safetensors", "optimizer.safetensors"].map((name) => readFile(join(last, name)));
  return { steps: seen, files: await Promise.all(files) };
}

const timeless = ({ seconds, tokensPerSecond, ...rest }: StepEvent): object => rest;

describe.each([
  ["lora", { method: "lora" }],
  ["lora, packed", { method: "lora", packing: true, maxLength: 64 }],
  ["qlora", { method: "qlora", min8bitSize: 0 }],
  ["full, with checkpointing", { method: "full", checkpointing: true, learningRate: 1e-3 }],
] as const)("stopping and resuming, %s", (_, changes) => {
  let base: PartialConfig = {};
  let straight: Outcome;
  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), "ft-resume-"));
    base = {
      ...recipe,
      ...changes,
      model: await tinyModel(join(folder, "model")),
      data: await someRows(join(folder, "rows.json")),
    };
    straight = await runOnce({ ...base, out: join(folder, "straight") }, 1);
    expect(straight.steps).toHaveLength(steps);
    return () => rm(folder, { recursive: true, force: true });
  });

  const draw = philox(11, 0, 0);
  const stops = Array.from({ length: 10 }, (_, i) => 1 + Math.floor(draw(i) * (steps - 1)));
  it.each(stops.map((stop, i) => [stop, 1 + (i % 2), 2 - (i % 2)]))(
    "after step %i, on %i thread(s), then on %i: identical bytes",
    async (stop, first, second) => {
      const out = await emptyFolder();
      const before = await runOnce({ ...base, out }, first, stop);
      expect(before.steps).toHaveLength(stop);
      const after = await runOnce({ ...base, out, resume: true }, second);
      expect([...before.steps, ...after.steps].map(timeless)).toEqual(straight.steps.map(timeless));
      for (const [i, file] of straight.files.entries()) expect(after.files[i]!.equals(file)).toBe(true);
    },
  );
});
