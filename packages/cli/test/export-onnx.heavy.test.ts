import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { smollm2Path } from "@ft/testing";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { OnnxCheck } from "../src/export/check-onnx.ts";
import { parseMetrics } from "../src/report/metrics.ts";
import { setup } from "./refusal.ts";
import { emptyFolder, ft } from "./run-ft.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
/** Where tools/consumers.mjs installs ONNX Runtime: the command looks for it in the folder that it runs in. */
const consumers = join(root, "tools/consumers");
const quickstart = join(root, "examples/quickstart/model");
const rows = join(root, "examples/quickstart/data/heldout.json");
const smollm2 = smollm2Path();

beforeEach(() => {
  vi.spyOn(process, "cwd").mockReturnValue(consumers);
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** Exports, and returns what the check found by type. */
async function exported(model: string, types: string, ...more: string[]): Promise<ReadonlyMap<string, OnnxCheck>> {
  const out = join(await emptyFolder(), "out");
  const ran = await ft("export", "--to", "onnx", "--type", types, "--model", model, "--out", out, "--json", ...more);
  expect(ran.code, ran.err).toBe(0);
  const checks: readonly OnnxCheck[] = JSON.parse(ran.out).check;
  const card = await readFile(join(out, "README.md"), "utf8");
  expect(card).toMatch(/- in onnxruntime \d+\.\d+\.\d+ on the CPU, against/);
  for (const { type, perplexity, meanKl } of checks) {
    expect(card).toContain(`- ${type}: KL ${meanKl.toExponential(1)} `);
    if (perplexity) expect(card).toContain(`perplexity ${perplexity.before.toFixed(3)} before, `);
    console.log(`${model.split("/").at(-1)} as ${type}: KL ${meanKl.toExponential(2)}, perplexity`, perplexity);
  }
  expect(checks.map(({ type }) => type).join()).toBe(types);
  return new Map(checks.map((check) => [check.type, check]));
}

/** How much larger the perplexity of the answers became. */
function rise({ perplexity }: OnnxCheck): number {
  return perplexity ? perplexity.after / perplexity.before - 1 : Number.NaN;
}

describe.skipIf(!existsSync(join(consumers, "node_modules/onnxruntime-node")))(
  "ft export --to onnx, checked in onnxruntime (skips without tools/consumers)",
  () => {
    it("measures every type of the quickstart's model", async () => {
      const found = await exported(quickstart, "fp32,fp16,int8,q8,q4,q4f16,bnb4", "--data", rows);
      const [fp32, int8] = [found.get("fp32")!, found.get("int8")!];
      // f32 sums in another order, squared
      expect(fp32.maxKl).toBeLessThan(1e-8);
      expect(fp32.sameTop1).toBe(1);
      expect(fp32.sameAnswers).toBe(4);
      expect(Math.abs(rise(fp32))).toBeLessThan(1e-5);
      expect(found.get("fp16")!.meanKl).toBeLessThan(1e-5);
      expect(Math.abs(rise(found.get("fp16")!))).toBeLessThan(1e-3);
      expect(found.get("q8")).toEqual({ ...int8, type: "q8" });
      // measured 1.4e-3, 0.039, 0.039, 0.050
      for (const [type, bound] of [["int8", 5e-3] as const, ["q4", 0.1] as const, ["q4f16", 0.1] as const])
        expect(found.get(type)!.meanKl, type).toBeLessThan(bound);
      expect(found.get("bnb4")!.meanKl).toBeLessThan(0.1);
      for (const check of found.values()) expect(Math.abs(rise(check)), check.type).toBeLessThan(0.1);
    });

    it("measures an adapter on the rows that its run held out", async () => {
      const { model, data, out } = await setup();
      const settings = ["--max-steps", "3", "--batch-size", "4", "--learning-rate", "0.05"];
      const trained = await ft("train", "--model", model, "--data", data, "--out", out, ...settings);
      expect(trained.code, trained.err).toBe(0);
      const fp32 = (await exported(model, "fp32", "--adapter", out)).get("fp32")!;
      expect(fp32.maxKl).toBeLessThan(1e-8);
      expect(Math.abs(rise(fp32))).toBeLessThan(1e-5);
      // the run measured the same rows at its end
      const { evaluations } = parseMetrics(await readFile(join(out, "metrics.jsonl"), "utf8"));
      expect(Math.log(fp32.perplexity!.before)).toBeCloseTo(evaluations.at(-1)!.loss, 4);
    });

    it.skipIf(!existsSync(smollm2))("measures SmolLM2-135M (skips without its GGUF)", async () => {
      const found = await exported(smollm2, "fp32,int8,q4", "--data", rows);
      const [fp32, int8, q4] = [found.get("fp32")!, found.get("int8")!, found.get("q4")!];
      expect(fp32.maxKl).toBeLessThan(1e-8);
      expect(fp32.sameAnswers).toBe(4);
      expect(Math.abs(rise(fp32))).toBeLessThan(1e-5);
      // measured 0.10 and 0.84 over whole prompts
      expect(int8.meanKl).toBeLessThan(0.2);
      expect(q4.meanKl).toBeLessThan(1.2);
      expect(rise(int8)).toBeLessThan(0.1);
      expect(rise(q4)).toBeLessThan(0.8);
      expect(q4.perplexity!.before).toBe(int8.perplexity!.before);
    });
  },
);
