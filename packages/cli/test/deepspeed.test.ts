import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { withDeepspeed } from "../src/config/deepspeed.ts";
import type { PartialConfig } from "../src/config/train-config.ts";
import { emptyFolder, ft } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

/** What a ds_config.json makes of a configuration and flags. */
async function read(ds: unknown, config: PartialConfig = {}, flags: PartialConfig = {}) {
  const file = join(await emptyFolder(), "ds.json");
  await writeFile(file, typeof ds === "string" ? ds : JSON.stringify(ds));
  return { file, ...(await withDeepspeed(file, config, flags)) };
}

// the shape of the examples in DeepSpeed's and transformers' documentation
const whole = {
  train_batch_size: 32,
  train_micro_batch_size_per_gpu: 4,
  gradient_accumulation_steps: 8,
  gradient_clipping: 0.5,
  steps_per_print: 2000,
  optimizer: { type: "AdamW", params: { lr: 3e-5, betas: [0.8, 0.99], eps: 1e-8, weight_decay: 0.1 } },
  scheduler: {
    type: "WarmupDecayLR",
    params: {
      warmup_min_lr: 0,
      warmup_max_lr: 3e-5,
      warmup_num_steps: 50,
      total_num_steps: 900,
      warmup_type: "linear",
    },
  },
  bf16: { enabled: true },
  zero_optimization: {
    stage: 2,
    offload_optimizer: { device: "cpu", pin_memory: true },
    overlap_comm: true,
  },
  activation_checkpointing: { partition_activations: true, number_checkpoints: null },
};

describe("a ds_config.json", () => {
  it("gives what has a meaning on one process, and names by path what has not", async () => {
    const { config, notes, file } = await read(whole, { method: "full" });
    expect(config).toEqual({
      method: "full",
      batchSize: 4,
      accumulation: 8,
      clipNorm: 0.5,
      optimizer: "adamw",
      learningRate: 3e-5,
      beta1: 0.8,
      beta2: 0.99,
      eps: 1e-8,
      weightDecay: 0.1,
      schedule: "linear",
      warmupSteps: 50,
      maxSteps: 900,
      weightDtype: "bf16",
      optimizerPlacement: "host",
      checkpointing: true,
    });
    expect(notes).toEqual([
      `${file}: zero_optimization.stage 2: there is one process, so nothing is partitioned`,
      `${file}: not used here: steps_per_print, zero_optimization.offload_optimizer.pin_memory, zero_optimization.overlap_comm`,
    ]);
  });

  it('leaves "auto" to the rest of the configuration', async () => {
    const auto = "auto";
    const ds = {
      train_batch_size: auto,
      train_micro_batch_size_per_gpu: auto,
      gradient_accumulation_steps: auto,
      gradient_clipping: auto,
      optimizer: { type: "Adam", params: { lr: auto, betas: [auto, auto], eps: auto, weight_decay: auto } },
      scheduler: { type: "WarmupCosineLR", params: { total_num_steps: auto, warmup_num_steps: auto } },
      fp16: { enabled: auto },
      bf16: { enabled: auto },
      zero_optimization: { stage: 0, offload_optimizer: { device: "none" } },
    };
    const config = { batchSize: 2, learningRate: 1e-4, optimizer: "adamw" };
    expect(await read(ds, config)).toMatchObject({
      config: { ...config, schedule: "cosine", optimizerPlacement: "device" },
      notes: [],
    });
  });

  it.each([
    [{ train_batch_size: 12, train_micro_batch_size_per_gpu: 4 }, {}, { batchSize: 4, accumulation: 3 }],
    [{ train_batch_size: 12, gradient_accumulation_steps: 2 }, {}, { batchSize: 6, accumulation: 2 }],
    [{ train_batch_size: 12 }, {}, { batchSize: 12, accumulation: 1 }],
    [{ train_batch_size: 12 }, { batchSize: 3 }, { batchSize: 3, accumulation: 4 }],
    [{ train_micro_batch_size_per_gpu: 5 }, { accumulation: 2 }, { batchSize: 5, accumulation: 2 }],
  ])("%j over %j: two sizes give the third", async (ds, config, want) => {
    expect((await read(ds, config)).config).toEqual(want);
  });

  it.each([
    [{ optimizer: { type: "Adam", params: { adam_w_mode: false } } }, { optimizer: "adam" }],
    [{ optimizer: { type: "Lion", params: { betas: [0.9, 0.99] } } }, { optimizer: "lion", beta1: 0.9, beta2: 0.99 }],
    [
      { optimizer: { type: "SGD", params: { momentum: 0.9, nesterov: true } } },
      { optimizer: "sgd", momentum: 0.9, nesterov: true },
    ],
    [{ optimizer: { type: "RMSprop", params: { alpha: 0.9 } } }, { optimizer: "rmsprop", rmspropAlpha: 0.9 }],
  ])("%j", async (ds, want) => {
    expect((await read(ds)).config).toEqual(want);
  });

  it("puts the state of nvme offload into a file, in a folder relative to the ds_config", async () => {
    const offload = { zero_optimization: { stage: 3, offload_optimizer: { device: "nvme", nvme_path: "swap" } } };
    const { config, file } = await read(offload);
    expect(config).toEqual({ optimizerPlacement: "file", optimizerFolder: join(file, "..", "swap") });
  });

  it("gives way to a flag, and says so where a sum no longer holds", async () => {
    const { config, notes } = await read(whole, {}, { batchSize: 2, learningRate: 1e-3 });
    expect(config).not.toHaveProperty("batchSize");
    expect(config).not.toHaveProperty("learningRate");
    expect(notes[0]).toMatch(/train_batch_size 32 gives way to batchSize 2 x gradient_accumulation_steps 8/);
  });

  it("does not take f16 over: says that f32 is used", async () => {
    const { config, notes } = await read({ fp16: { enabled: true, loss_scale: 0 } }, { method: "lora" });
    expect(config).toEqual({ method: "lora" });
    expect(notes.join()).toMatch(/fp16\.enabled: .*f32.*not used here: fp16\.loss_scale/);
  });

  it.each<[unknown, RegExp, PartialConfig?]>([
    [
      { train_batch_size: 32, train_micro_batch_size_per_gpu: 4, gradient_accumulation_steps: 2 },
      /train_batch_size is 32, but train_micro_batch_size_per_gpu 4 x gradient_accumulation_steps 2 x 1 process is 8/,
    ],
    [
      { train_batch_size: 10, train_micro_batch_size_per_gpu: 4 },
      /train_batch_size 10 is no multiple of train_micro_batch_size_per_gpu 4/,
    ],
    [
      { train_batch_size: 10 },
      /is 10, but batchSize 4 x accumulation 2 x 1 process is 8/,
      { batchSize: 4, accumulation: 2 },
    ],
    [{ train_batch_size: "many" }, /train_batch_size is "many"; expected a whole number of at least 1, or "auto"/],
    [{ train_batch_size: 1.5 }, /train_batch_size is 1.5; expected a whole number/],
    [{ gradient_accumulation_steps: 0 }, /gradient_accumulation_steps is 0; expected a whole number of at least 1/],
    [{ optimizer: "AdamW" }, /optimizer is "AdamW"; expected an object/],
    [{ optimizer: { type: "AdamW", params: { betas: 0.9 } } }, /optimizer\.params\.betas is 0\.9; expected 2 numbers/],
    [
      { optimizer: { type: "AdamW", params: { betas: [0.9, 1] } } },
      /betas is \[0\.9,1\]; expected 2 numbers, each a number of at least 0 and below 1/,
    ],
    [{ optimizer: { params: { lr: 0 } } }, /optimizer\.params\.lr is 0; expected a number above 0, or "auto"/],
    [{ optimizer: { params: { lr: "3e-5" } } }, /optimizer\.params\.lr is "3e-5"; expected a number above 0/],
    [{ optimizer: { type: "OneBitAdam" } }, /optimizer\.type is OneBitAdam, which compresses.*; use AdamW/],
    [{ optimizer: { type: "LAMB" } }, /optimizer\.type is "LAMB"; expected Adam, AdamW, Lion, SGD or RMSprop/],
    [{ scheduler: { type: "OneCycle" } }, /scheduler\.type is "OneCycle"; expected "WarmupLR"/],
    [
      {
        optimizer: { type: "AdamW", params: { lr: 1e-3 } },
        scheduler: { type: "WarmupLR", params: { warmup_max_lr: 2e-3 } },
      },
      /optimizer\.params\.lr is 0\.001, scheduler\.params\.warmup_max_lr 0\.002/,
    ],
    [{ fp16: { enabled: true }, bf16: { enabled: true } }, /fp16\.enabled and bf16\.enabled are both true/],
    [{ bf16: { enabled: "yes" } }, /bf16\.enabled is "yes"; expected true, false or "auto"/],
    [{ zero_optimization: { stage: 4 } }, /zero_optimization\.stage is 4; expected 0, 1, 2 or 3/],
    [
      { zero_optimization: { offload_optimizer: { device: "disk" } } },
      /zero_optimization\.offload_optimizer\.device is "disk"; expected "none", "cpu", "nvme"/,
    ],
    [
      { optimizer: { type: "AdamW", params: { lr: 1e-3 } } },
      /optimizer\.params\.lr is 0\.001, but learningRate is 0\.0002; give the same value, or "auto"/,
      { learningRate: 2e-4 },
    ],
    [[], /holds no JSON object/],
    ["{", /ds\.json/],
  ])("%j is refused", async (ds, message, config) => {
    await expect(read(ds, config)).rejects.toMatchObject({ name: "FtError", message: expect.stringMatching(message) });
  });
});

describe("ft train --deepspeed", () => {
  async function setup() {
    const folder = await emptyFolder();
    const at = {
      model: await tinyModel(join(folder, "model")),
      data: await someRows(join(folder, "rows.json")),
      out: join(folder, "run"),
      ds: join(folder, "ds.json"),
    };
    const args = ["train", "--model", at.model, "--data", at.data, "--out", at.out, "--deepspeed", at.ds];
    return { ...at, run: (...more: string[]) => ft(...args, ...more) };
  }

  it("trains with what the file says, and records it", async () => {
    const at = await setup();
    await writeFile(
      at.ds,
      JSON.stringify({
        train_batch_size: 6,
        gradient_accumulation_steps: 2,
        optimizer: { type: "AdamW", params: { lr: 1e-3 } },
        scheduler: { type: "WarmupDecayLR", params: { total_num_steps: 3, warmup_type: "linear" } },
        wall_clock_breakdown: false,
      }),
    );
    const { code, err } = await at.run();
    expect(err).toMatch(/ds\.json: not used here: wall_clock_breakdown/);
    expect(code).toBe(0);
    const { config } = JSON.parse(await readFile(join(at.out, "run.json"), "utf8"));
    expect(config).toMatchObject({
      batchSize: 3,
      accumulation: 2,
      learningRate: 1e-3,
      schedule: "linear",
      maxSteps: 3,
    });
  });

  it.each([
    [{ train_batch_size: 8, train_micro_batch_size_per_gpu: 3, gradient_accumulation_steps: 2 }, /x 1 process is 6/],
    ["{", /ds\.json/],
    [{ gradient_clipping: "none" }, /ds\.json: gradient_clipping is "none"\n {2}expected a number/],
  ])("refuses %j: exit 2, nothing written", async (ds, message) => {
    const at = await setup();
    await writeFile(at.ds, typeof ds === "string" ? ds : JSON.stringify(ds));
    const { code, out, err } = await at.run();
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(message);
    expect(err).not.toMatch(/^\s+at .*:\d+:\d+/m);
    expect(existsSync(at.out)).toBe(false);
  });

  it("refuses a file that is not there", async () => {
    const at = await setup();
    const { code, err } = await at.run();
    expect([code, err]).toEqual([2, expect.stringMatching(/ds\.json/)]);
    expect(existsSync(at.out)).toBe(false);
  });
});
