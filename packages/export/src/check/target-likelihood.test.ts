import { createCpuBackend } from "@ft/backend-cpu";
import { loadModel, meanLoss } from "@ft/models";
import { leakCheck } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { goldenFolder } from "../../../models/test/goldens.ts";
import { logitSource } from "./logit-source.ts";
import { targetLikelihood } from "./target-likelihood.ts";

describe("targetLikelihood", async () => {
  const backend = await createCpuBackend();
  const model = await loadModel(goldenFolder("llama-gqa"), { backend });
  const tokens = Array.from({ length: 20 }, (_, i) => (i * 37) % 96);
  const targets = tokens.map((_, i) => (i % 3 === 0 || i === 19 ? -100 : (tokens[i + 1] ?? -100)));

  it("is the loss of the model over the targets alone, also a few places at a time", async () => {
    const length = tokens.length;
    const host = {
      ...{ batch: 1, seq: length, tokens: Int32Array.from(tokens), targets: Int32Array.from(targets) },
      positions: Int32Array.from(tokens, (_, i) => i),
      segments: new Int32Array(length).fill(1),
    };
    const want = await meanLoss(model, [host]);
    const got = await leakCheck(backend, () => targetLikelihood(model, { tokens, targets }));
    expect(got.tokens).toBe(targets.filter((target) => target >= 0).length);
    // the same logits, summed in f64 here and in f32 by the loss
    expect(got.nll / got.tokens).toBeCloseTo(want, 5);
    const whole = logitSource(model);
    const pieces = await targetLikelihood(
      { ...whole, logitRows: (ids) => whole.logitRows(ids, 3) },
      { tokens, targets },
    );
    // f32 products of other shapes sum in another order
    expect(pieces.nll).toBeCloseTo(got.nll, 4);
  });

  it("refuses rows that are none", async () => {
    const of = (row: Parameters<typeof targetLikelihood>[1]) => targetLikelihood(model, row);
    await expect(of({ tokens, targets: [1] })).rejects.toMatchObject({ code: "input" });
    const long = new Array<number>(5000).fill(1);
    await expect(of({ tokens: long, targets: long })).rejects.toMatchObject({ code: "input" });
    await expect(of({ tokens: [1], targets: [96] })).rejects.toMatchObject({ code: "data" });
  });
});
