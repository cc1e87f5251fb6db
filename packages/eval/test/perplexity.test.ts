import { createCpuBackend } from "@ft/backend-cpu";
import { type Llama, loadModel } from "@ft/models";
import { memory } from "@ft/tensor";
import { expectClose, golden } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { confidenceInterval, perplexity, rowLikelihood, stridedPerplexity } from "../src/index.ts";

interface Run {
  readonly maxLength: number;
  readonly stride: number;
  readonly nll: number;
  readonly tokens: number;
  readonly perplexity: number;
  readonly bitsPerByte?: number;
  readonly bytePerplexity?: number;
}

const root = new URL("../../../", import.meta.url);
const witness = await golden<{
  readonly "llama-gqa": {
    readonly ids: readonly number[];
    readonly runs: readonly Run[];
    readonly rows: readonly {
      readonly tokens: readonly number[];
      readonly targets: readonly number[];
      readonly nll: number;
      readonly count: number;
    }[];
  };
  readonly quickstart: { readonly bytes: number; readonly ids: readonly number[]; readonly runs: readonly Run[] };
}>(new URL("tools/goldens/data/eval-perplexity/golden.json", root));
const tiny = witness["llama-gqa"];

/** An f32 forward pass against one in f64: a loss of a few nats is off by rounding of 2e-7 of the largest score, and sums average it out. */
const rounding = { relative: 1e-6, reason: "sums of f32 losses against a forward pass in f64" };

async function open(folder: string): Promise<Llama> {
  return loadModel(new URL(folder, root).pathname, {
    backend: await createCpuBackend({ poison: true }),
    weights: "f32",
  });
}

describe("strided perplexity, against transformers", () => {
  it.each(tiny.runs)("is that of a window of $maxLength moved by $stride", async (run) => {
    using model = await open("tools/goldens/data/llama-gqa");
    const before = memory(model.backend).live;
    const got = await stridedPerplexity(model, tiny.ids, run);
    expect(got.tokens).toBe(run.tokens);
    expectClose([got.nll], [run.nll], rounding, "nll");
    // an exponential multiplies an error of 1e-6 of about 6 nats by those 6
    expectClose([got.perplexity], [run.perplexity], { ...rounding, relative: 6e-6 }, "perplexity");
    expect(memory(model.backend).live).toBe(before);
  });

  it("counts by bytes, over the usual window and stride of a real model", async () => {
    using model = await open("examples/quickstart/model");
    const { bytes, ids, runs } = witness.quickstart;
    for (const [i, run] of runs.entries()) {
      const sizes = i === 0 ? {} : { maxLength: run.maxLength, stride: run.stride };
      const got = await stridedPerplexity(model, ids, { ...sizes, bytes });
      expect(got.tokens).toBe(run.tokens);
      expectClose([got.nll, got.bitsPerByte!], [run.nll, run.bitsPerByte!], rounding, "nll, bits per byte");
      expectClose([got.bitsPerByte!], [run.bitsPerByte!], rounding, "bits per byte");
      expectClose([got.bytePerplexity!], [run.bytePerplexity!], { ...rounding, relative: 6e-6 }, "byte perplexity");
    }
  });

  it("refuses windows, strides and texts that are none", async () => {
    using model = await open("tools/goldens/data/llama-gqa");
    for (const options of [{ maxLength: 513 }, { maxLength: 1 }, { stride: 0 }, { maxLength: 8, stride: 9 }])
      await expect(stridedPerplexity(model, tiny.ids, options)).rejects.toMatchObject({ code: "config" });
    for (const ids of [[], [5]])
      await expect(stridedPerplexity(model, ids)).rejects.toThrow(`[perplexity] a text of ${ids.length} tokens`);
    await expect(stridedPerplexity(model, [5, 96])).rejects.toMatchObject({ code: "data" });
  });

  it("stops between windows", async () => {
    using model = await open("tools/goldens/data/llama-gqa");
    const stop = new AbortController();
    const running = stridedPerplexity(model, tiny.ids, { maxLength: 8, stride: 1, signal: stop.signal });
    const reason = new Error("enough");
    setImmediate(() => stop.abort(reason));
    await expect(running).rejects.toBe(reason);
  });
});

describe("likelihood of the answers in rows, against transformers", () => {
  it("is of the targets alone, row by row", async () => {
    using model = await open("tools/goldens/data/llama-gqa");
    for (const row of tiny.rows) {
      const got = await rowLikelihood(model, row);
      expect(got.tokens).toBe(row.count);
      expectClose([got.nll], [row.nll], rounding, "nll");
    }
  });

  it("adds up to the perplexity of all, with an interval", async () => {
    const rows = tiny.rows.map(({ nll, count }) => [nll, count]);
    const sum = (of: (row: (typeof tiny.rows)[number]) => number): number => tiny.rows.reduce((s, r) => s + of(r), 0);
    const { score, low, high } = confidenceInterval(perplexity(), rows);
    expect(score).toBe(Math.exp(sum(({ nll }) => nll) / sum(({ count }) => count)));
    expect(low).toBeLessThan(score);
    expect(high).toBeGreaterThan(score);
  });

  it("refuses rows without targets, of two lengths, or beyond the context", async () => {
    using model = await open("tools/goldens/data/llama-gqa");
    const refused = (tokens: readonly number[], targets: readonly number[]) =>
      expect(rowLikelihood(model, { tokens, targets })).rejects;
    await refused([5, 6], [-100, -100]).toThrow("a row has no target");
    await refused([5, 6], [6]).toThrow("2 tokens with 1 targets");
    await refused(new Array(513).fill(5), new Array(513).fill(5)).toThrow(
      "513 tokens is longer than the model's context of 512",
    );
  });
});
