import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { setup } from "./refusal.ts";
import { ft } from "./run-ft.ts";

it("with offload is plain checkpointing on the CPU, and is recorded", async () => {
  const { folder, model, data } = await setup();
  const adapter = async (...how: string[]): Promise<Buffer> => {
    const out = join(folder, how.join(""));
    const run = ["--model", model, "--data", data, "--out", out, "--backend", "cpu", "--max-steps", "2"];
    const { code, err } = await ft("train", ...run, ...how);
    expect([code, err]).toEqual([0, expect.stringContaining("saved")]);
    return readFile(join(out, "adapter", "adapter_model.safetensors"));
  };
  const offload = await adapter("--checkpointing", "offload");
  expect(offload.equals(await adapter("--checkpointing"))).toBe(true);
  const { config } = JSON.parse(await readFile(join(folder, "--checkpointingoffload", "run.json"), "utf8"));
  expect(config.checkpointing).toBe("offload");
});

it("of a run in bf16 is not resumed in f32, by name", async () => {
  const { folder, model, data } = await setup();
  const run = ["--model", model, "--data", data, "--out", join(folder, "run"), "--backend", "cpu"];
  const first = await ft("train", ...run, "--max-steps", "1", "--dtype", "bf16");
  expect([first.code, first.err]).toEqual([0, expect.stringMatching(/^dtype bf16 is computed by slow/m)]);
  const { code, err } = await ft("train", ...run, "--max-steps", "2", "--dtype", "f32", "--resume");
  expect([code, err]).toEqual([2, expect.stringMatching(/was made with dtype bf16, this run has f32/)]);
});
