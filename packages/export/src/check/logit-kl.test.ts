import { createCpuBackend } from "@ft/backend-cpu";
import { type CausalLm, type Llama, loadModel, uploadBatch } from "@ft/models";
import { leakCheck } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { goldenFolder } from "../../../models/test/goldens.ts";
import { logitKl } from "./logit-kl.ts";

const backend = await createCpuBackend();
const prompts = [[5], [7, 80, 3, 3, 41], Array.from({ length: 40 }, (_, i) => (i * 37) % 96)];

async function softmaxRows(model: Llama, prompt: readonly number[]): Promise<{ p: number[]; top: number }[]> {
  const seq = prompt.length;
  const ids = Int32Array.from(prompt);
  const batch = {
    batch: 1,
    seq,
    tokens: ids,
    targets: ids,
    positions: ids.map((_, i) => i),
    segments: ids.map(() => 1),
  };
  const logits = await model.logits(uploadBatch(model.backend, batch, 96)).read();
  return Array.from({ length: seq }, (_, row) => {
    const exp = [...logits.subarray(row * 96, (row + 1) * 96)].map((x) => Math.exp(x));
    const total = exp.reduce((sum, x) => sum + x, 0);
    return { p: exp.map((x) => x / total), top: exp.indexOf(Math.max(...exp)) };
  });
}

describe("logitKl", async () => {
  const one = await loadModel(goldenFolder("llama-gqa"), { backend });
  const two = await loadModel(goldenFolder("llama-bias"), { backend });

  it("is Σ p·log(p/q) of the two softmaxes at every position", async () => {
    const rows: { kl: number; same: boolean }[] = [];
    for (const prompt of prompts) {
      const [p, q] = [await softmaxRows(one, prompt), await softmaxRows(two, prompt)];
      for (const [i, own] of p.entries()) {
        const kl = own.p.reduce((sum, x, j) => sum + x * Math.log(x / q[i]!.p[j]!), 0);
        rows.push({ kl, same: own.top === q[i]!.top });
      }
    }
    const got = await logitKl(one, two, prompts);
    expect(got.tokens).toBe(46);
    // both in f64 over the same f32 logits; only the order of sums differs
    expect(got.meanKl).toBeCloseTo(rows.reduce((sum, { kl }) => sum + kl, 0) / 46, 10);
    expect(got.maxKl).toBeCloseTo(Math.max(...rows.map(({ kl }) => kl)), 10);
    expect(got.sameTop1).toBe(rows.filter(({ same }) => same).length / 46);
    expect(got.meanKl).toBeGreaterThan(0.01);
    expect(got.sameTop1).toBeLessThan(1);
  });

  it("is 0 for a model and itself", async () => {
    expect(await logitKl(one, one, prompts)).toEqual({ meanKl: 0, maxKl: 0, sameTop1: 1, tokens: 46 });
  });

  it("takes the logits a few positions at a time and leaves nothing behind", async () => {
    const whole = await logitKl(one, two, prompts);
    const inPieces = (model: Llama): CausalLm => {
      const piecewise: CausalLm = Object.create(model, {
        config: { value: model.config },
        backend: { value: model.backend },
        logitPieces: { value: (batch: Parameters<Llama["logitPieces"]>[0]) => model.logitPieces(batch, 3) },
      });
      return piecewise;
    };
    const pieces = await leakCheck(backend, () => logitKl(inPieces(one), inPieces(two), prompts));
    // f32 products of other shapes sum in another order
    expect(pieces.meanKl).toBeCloseTo(whole.meanKl, 6);
    expect(pieces.maxKl).toBeCloseTo(whole.maxKl, 6);
    expect(pieces.tokens).toBe(whole.tokens);
  });

  it("stops at a signal", async () => {
    const signal = AbortSignal.abort(new Error("stopped"));
    await leakCheck(backend, () => expect(logitKl(one, two, prompts, { signal })).rejects.toThrow("stopped"));
  });

  it("refuses what cannot be compared", async () => {
    const other: CausalLm = Object.create(two, { config: { value: { ...two.config, vocabSize: 97 } } });
    await expect(logitKl(one, other, prompts)).rejects.toMatchObject({ code: "input" });
    await expect(logitKl(one, two, [])).rejects.toMatchObject({ code: "input" });
    await expect(logitKl(one, two, [[1], []])).rejects.toMatchObject({ code: "input" });
    await expect(logitKl(one, two, [new Array(5000).fill(1)])).rejects.toMatchObject({ code: "input" });
    await leakCheck(backend, () => expect(logitKl(one, two, [[96]])).rejects.toMatchObject({ code: "data" }));
  });
});
