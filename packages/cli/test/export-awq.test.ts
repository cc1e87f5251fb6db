import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { sha256File } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { main } from "../src/main.ts";
import { expectRefusal } from "./refusal.ts";
import { emptyFolder, ft } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

/** A tiny model whose layers have whole groups of 32 inputs, and rows. */
async function setup() {
  const folder = await emptyFolder();
  const model = await tinyModel(join(folder, "model"), { intermediate_size: 64 });
  return { folder, model, data: await someRows(join(folder, "rows.json")) };
}

/** The same, and an adapter of a few steps. */
async function trained(...more: readonly string[]) {
  const at = await setup();
  const run = join(at.folder, "run");
  const args = ["train", "--model", at.model, "--data", at.data, "--out", run, "--max-steps", "3", ...more];
  const { code, err } = await ft(...args, "--batch-size", "4", "--learning-rate", "0.05");
  expect(code, err).toBe(0);
  return { ...at, run };
}

const awq = (model: string, out: string, ...more: readonly string[]) =>
  ft("export", "--to", "awq", "--model", model, "--out", out, ...more);

async function digests(folder: string): Promise<readonly string[]> {
  const names = (await readdir(folder)).sort();
  return Promise.all(names.map(async (name) => `${name} ${await sha256File(join(folder, name))}`));
}

describe("ft export --to awq", () => {
  it("quantises base and adapter by the rows of its run, and tells what that cost", async () => {
    const { folder, model, run } = await trained("--validation-fraction", "0.1");
    const out = join(folder, "awq");
    const ran = await awq(model, out, "--adapter", run, "--json");
    expect(ran.code, ran.err).toBe(0);
    const { groupSize, calibration, perplexity, check, blocks } = JSON.parse(ran.out);
    expect(groupSize).toBe(32);
    expect(calibration.rows).toBe(36); // of 40, of which the run held 4 out
    expect(perplexity.rows).toBe(4);
    expect(perplexity.before).toBeGreaterThan(1);
    expect(Math.abs(perplexity.after / perplexity.before - 1)).toBeLessThan(0.1);
    expect(perplexity.after).not.toBe(perplexity.before);
    expect(check.meanKl).toBeGreaterThan(0);
    expect(check.meanKl).toBeLessThan(0.1);
    expect(blocks).toHaveLength(2);
    for (const { error } of blocks) expect(error).toBeLessThan(0.1);

    const config = JSON.parse(await readFile(join(out, "config.json"), "utf8"));
    expect(config.quantization_config).toMatchObject({ quant_method: "awq", bits: 4, group_size: 32, version: "gemm" });
    expect([config.dtype ?? config.torch_dtype]).toEqual(["float16"]);
    const card = await readFile(join(out, "README.md"), "utf8");
    expect(card).toMatch(/^vllm serve \S+$/m);
    expect(card).not.toContain(folder);
    expect(card).toContain("calibrated on 36 rows of rows.json");
    expect(card).toMatch(/perplexity [\d.]+ before, [\d.]+ after \(.*\), on 4 held-out rows of rows\.json/);
    expect(card).toContain("| data | rows.json |");
  });

  it("takes as many rows as it is told, and prints how the folder is served", async () => {
    const { folder, model, data } = await setup();
    const out = join(folder, "awq");
    const ran = await awq(model, out, "--data", data, "--calibration-rows", "8", "--no-check");
    expect(ran.code, ran.err).toBe(0);
    expect(ran.err).toContain("calibration 8 rows of rows.json");
    expect(ran.err).toContain("not checked: --no-check was given");
    expect(ran.out).toContain(`vllm serve ${out}`);
  });

  it("writes the same bytes again", async () => {
    const { folder, model, data } = await setup();
    const [first, second] = [join(folder, "first"), join(folder, "second")];
    for (const out of [first, second]) {
      const ran = await awq(model, out, "--data", data, "--no-check");
      expect(ran.code, ran.err).toBe(0);
    }
    const without = (lines: readonly string[]) => lines.filter((line) => !line.startsWith("README.md"));
    expect(without(await digests(second))).toEqual(without(await digests(first)));
  });

  it("refuses what it cannot do before it writes anything", async () => {
    const { folder, model, data } = await setup();
    const out = join(folder, "out");
    const rows = ["--data", data];
    expectRefusal(await awq(model, out), /no --data is given: there are no rows[\s\S]*--data FILE/, out);
    expectRefusal(await awq(model, out, ...rows, "--group-size", "64"), /inputs.* groups of 64[\s\S]*32/, out);
    expectRefusal(await awq(model, out, ...rows, "--group-size", "48"), /group size of 48[\s\S]*128, 64, 32/, out);
    expectRefusal(await awq(model, out, ...rows, "--dtype", "bf16"), /--dtype bf16 is given/, out);
    expectRefusal(await awq(model, out, ...rows, "--type", "gemv"), /which has no types/, out);
    expectRefusal(await awq(model, out, "--data", join(folder, "none.json")), /none\.json/, out);
    await writeFile(join(folder, "empty.json"), "[]");
    expectRefusal(await awq(model, out, "--data", join(folder, "empty.json")), /holds no row/, out);
    await someRows(join(folder, "one.json"), 1);
    expectRefusal(await awq(model, out, "--data", join(folder, "one.json")), /holds one row/, out);
    const narrow = await tinyModel(join(folder, "narrow"));
    expectRefusal(await awq(narrow, out, ...rows), /48 inputs[\s\S]*none of 128, 64, 32/, out);
    const taken = await awq(model, model, ...rows);
    expect(taken.err).toMatch(/exists already/);
    expect(taken.code).toBe(2);
  });

  it("says which data of a run is gone", async () => {
    const { folder, model, run } = await trained();
    const record = join(run, "run.json");
    const text = await readFile(record, "utf8");
    await writeFile(record, text.replaceAll("rows.json", "gone.json"));
    const out = join(folder, "out");
    expectRefusal(await awq(model, out, "--adapter", run), /gone\.json, which the adapter was trained on/, out);
  });

  it("leaves nothing when it is stopped", async () => {
    const { folder, model, data } = await setup();
    const before = await readdir(folder);
    const stop = (text: string) => text.startsWith("calibration") && process.emit("SIGINT");
    const args = ["export", "--to", "awq", "--model", model, "--out", join(folder, "out"), "--data", data];
    expect(await main(args, { out: () => {}, err: stop })).toBe(130);
    expect(await readdir(folder)).toEqual(before);
  });
});
