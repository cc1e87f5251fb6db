import { createCpuBackend } from "@ft/backend-cpu";
import { createTfjsBackend } from "@ft/backend-tfjs";
import { memory, tensor } from "@ft/tensor";
import { argmax } from "@ft/tensor/ops";
import { expectClose } from "@ft/testing";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { describe, expect, it } from "vitest";
import { argmax as firstLargest, generate, type Llama, loadModel } from "../src/index.ts";
import { goldenFolder, goldenJson } from "./goldens.ts";

const json = goldenJson("llama-gqa");
const prompt: number[] = json.padded.tokens.slice(0, 9);

const backends = {
  "native kernels": () => createCpuBackend(),
  "reference loops": () => createCpuBackend({ native: false }),
  "TensorFlow.js": async () => {
    await tf.setBackend("cpu");
    return createTfjsBackend(tf);
  },
};

async function open(name: keyof typeof backends): Promise<Llama> {
  return loadModel(goldenFolder("llama-gqa"), { backend: await backends[name]() });
}

/** Scores of the next token without a cache: everything computed anew. */
async function scoresOf(model: Llama, ids: readonly number[]): Promise<number[]> {
  const grid = (data: Int32Array<ArrayBuffer>) => tensor(model.backend, "i32", ["batch", "seq"], [1, ids.length], data);
  const zeros = new Int32Array(ids.length);
  using logits = model.logits({
    tokens: grid(Int32Array.from(ids)),
    targets: grid(zeros),
    positions: grid(zeros.map((_, i) => i)),
    segments: grid(zeros),
  });
  return [...(await logits.read()).slice(-model.config.vocabSize)];
}

describe.each(["native kernels", "reference loops", "TensorFlow.js"] as const)("generation on %s", (name) => {
  it("has with a cache, in pieces of any length, the scores it has without", async () => {
    using model = await open(name);
    using cache = model.createCache(1, prompt.length);
    let seen = 0;
    for (const length of [4, 1, 3, 1]) {
      const piece = Int32Array.from(prompt.slice(seen, seen + length));
      seen += length;
      using ids = tensor(model.backend, "i32", ["batch", "seq"], [1, length], piece);
      using logits = model.advance(ids, cache);
      const bound = { relative: 1e-5, reason: "the same float32 sums in another order" };
      expectClose(await logits.read(), await scoresOf(model, prompt.slice(0, seen)), bound, `after ${seen} tokens`);
    }
    expect(() => cache.reserve(1)).toThrow(/exceed the capacity of 9/);
  });

  it("finds the next token where the scores are: the first largest, also among NaN", async () => {
    using model = await open(name);
    using byScores = model.createCache(1, prompt.length);
    using byTokens = model.createCache(1, prompt.length);
    for (const piece of [prompt.slice(0, 6), prompt.slice(6, 7)]) {
      using ids = tensor(model.backend, "i32", ["batch", "seq"], [1, piece.length], Int32Array.from(piece));
      using scores = model.advance(ids, byScores);
      using next = model.next(ids, byTokens);
      expect([...(await next.read())]).toEqual([firstLargest(await scores.read())]);
    }
    for (const row of [
      [1, 3, 3, 2],
      [Number.NaN, 3, 4, 2],
      [1, Number.NaN, 3, 3],
    ]) {
      using scores = tensor(model.backend, "f32", ["batch", "vocab"], [1, 4], Float32Array.from(row));
      using next = argmax(scores);
      expect([...(await next.read())]).toEqual([firstLargest(row)]);
    }
  });

  it("leaks nothing, also when the reader stops early", async () => {
    using model = await open(name);
    const before = memory(model.backend).live;
    for await (const _ of generate(model, prompt, { maxNewTokens: 8, stopIds: [] }));
    for await (const _ of generate(model, prompt, { maxNewTokens: 8, stopIds: [] })) break;
    expect(memory(model.backend).live).toBe(before);
  });
});

describe("generate", () => {
  const take = async (model: Llama, options: Parameters<typeof generate>[2]): Promise<number[]> => {
    const ids: number[] = [];
    for await (const id of generate(model, prompt, options)) ids.push(id);
    return ids;
  };

  it("stops at a stop id, which is not part of the answer", async () => {
    using model = await open("native kernels");
    const free = await take(model, { maxNewTokens: 12, stopIds: [] });
    expect(free).toHaveLength(12);
    const stop = free[5]!;
    expect(await take(model, { maxNewTokens: 12, stopIds: [stop] })).toEqual(free.slice(0, free.indexOf(stop)));
  });

  it("draws the same under a seed, another answer under another", async () => {
    using model = await open("native kernels");
    const options = { maxNewTokens: 12, stopIds: [], temperature: 1.5 };
    const first = await take(model, { ...options, seed: 1 });
    expect(await take(model, { ...options, seed: 1 })).toEqual(first);
    expect(await take(model, { ...options, seed: 2 })).not.toEqual(first);
  });

  it("ends where the context is full", async () => {
    using model = await open("native kernels");
    const room = model.config.maxPositions - prompt.length;
    expect(await take(model, { maxNewTokens: 10_000, stopIds: [] })).toHaveLength(room);
  });

  it("refuses an empty prompt, one too long and strange ids", async () => {
    using model = await open("native kernels");
    const first = (ids: number[]) => generate(model, ids).next();
    await expect(first([])).rejects.toThrow(/no tokens/);
    await expect(first(new Array(model.config.maxPositions).fill(1))).rejects.toThrow(/context/);
    await expect(first([1, 96])).rejects.toThrow(/token 96 is not in the vocabulary/);
  });

  it("ends with the signal's reason", async () => {
    using model = await open("native kernels");
    await expect(take(model, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });
});
