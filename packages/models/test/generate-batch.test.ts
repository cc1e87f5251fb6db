import { createCpuBackend } from "@ft/backend-cpu";
import { memory } from "@ft/tensor";
import { replaying } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { type GenerateOptions, generate, generateBatch, type Llama, loadModel } from "../src/index.ts";
import { goldenFolder, goldenJson } from "./goldens.ts";

const { tokens } = goldenJson("llama-gqa").padded as { readonly tokens: number[] };
const prompts = [tokens.slice(0, 9), tokens.slice(2, 4), tokens.slice(5, 6), tokens.slice(1, 8)];

const engines = { "native kernels": true, "reference loops": false };

async function open(native: boolean): Promise<Llama> {
  return loadModel(goldenFolder("llama-gqa"), { backend: await createCpuBackend({ native, poison: true }) });
}

/** What generate() answers to each prompt alone. */
async function singly(model: Llama, options: GenerateOptions): Promise<number[][]> {
  const answers: number[][] = [];
  for (const prompt of prompts) {
    const answer: number[] = [];
    for await (const id of generate(model, prompt, options)) answer.push(id);
    answers.push(answer);
  }
  return answers;
}

describe.each(Object.entries(engines))("prompts of different lengths at once (%s)", (_, native) => {
  it("have the answers that each has alone", async () => {
    using model = await open(native);
    const options = { maxNewTokens: 10, stopIds: [] };
    const before = memory(model.backend).live;
    expect(await generateBatch(model, prompts, options)).toEqual(await singly(model, options));
    expect(memory(model.backend).live).toBe(before);
  });

  it("end each for itself: at a stop id, or where the context is full", async () => {
    using model = await open(native);
    const free = await singly(model, { maxNewTokens: 10, stopIds: [] });
    for (const stop of [free[0]![3]!, free[2]![0]!]) {
      const options = { maxNewTokens: 10, stopIds: [stop] };
      expect(await generateBatch(model, prompts, options)).toEqual(await singly(model, options));
    }
    const endless = await generateBatch(model, prompts, { maxNewTokens: 1e6, stopIds: [] });
    expect(endless.map(({ length }, i) => length + prompts[i]!.length)).toEqual(
      prompts.map(() => model.config.maxPositions),
    );
    expect(endless).toEqual(await singly(model, { maxNewTokens: 1e6, stopIds: [] }));
  });
});

describe("generateBatch", () => {
  it("draws for the first row as generate() does, and the same again under a seed", async () => {
    using model = await open(true);
    const options = { maxNewTokens: 8, stopIds: [], temperature: 1.5, seed: 3 };
    const batch = await generateBatch(model, prompts, options);
    expect(batch[0]).toEqual((await singly(model, options))[0]);
    expect(await generateBatch(model, prompts, options)).toEqual(batch);
    const twins = await generateBatch(model, [prompts[0]!, prompts[0]!], options);
    expect(twins[1]).not.toEqual(twins[0]);
  });

  it("refuses no prompts, strange ids, and counts that do not fit", async () => {
    using model = await open(true);
    await expect(generateBatch(model, [])).rejects.toThrow(/no prompts/);
    await expect(generateBatch(model, [[1], []])).rejects.toThrow(/no tokens/);
    await expect(generateBatch(model, [[1], [96]])).rejects.toThrow(/token 96/);
    expect(await generateBatch(model, prompts, { maxNewTokens: 0 })).toEqual(prompts.map(() => []));
  });

  it("ends with the signal's reason", async () => {
    using model = await open(true);
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(generateBatch(model, prompts, { signal })).rejects.toThrow("enough");
  });
});

describe.each(Object.entries(engines))("a backend that replays (%s)", (_, native) => {
  it("gives the same answers, one function for every token of a generation", async () => {
    using plain = await open(native);
    const { backend, calls, forgotten, release } = replaying(await createCpuBackend({ native, poison: true }));
    using model = await loadModel(goldenFolder("llama-gqa"), { backend });
    const options = { maxNewTokens: 6, stopIds: [] };
    const before = memory(backend).live;
    expect(await generateBatch(model, prompts, options)).toEqual(await generateBatch(plain, prompts, options));
    expect(calls).toEqual(Array.from({ length: 5 }, () => ({ ...calls[0], inputs: "i32 4x1, i32 4, i32 4x1" })));
    expect(await singly(model, options)).toEqual(await singly(plain, options));
    expect(new Set(calls.map(({ key }) => key))).toEqual(forgotten);
    expect(forgotten.size).toBe(1 + prompts.length);
    release();
    expect(memory(backend).live).toBe(before);
  });
});
