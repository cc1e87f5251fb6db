import { createCpuBackend } from "@ft/backend-cpu";
import { generate, type Llama, loadModel } from "@ft/models";
import { randomFrom } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { type AnswerAllOptions, type Answered, answerAll } from "../src/index.ts";

const folder = new URL("../../../tools/goldens/data/llama-gqa", import.meta.url).pathname;
const engines = { "native kernels": true, "reference loops": false };
const random = randomFrom(3);
/** 23 prompts of 1 to 12 tokens */
const prompts = random.list(23, () => random.list(random.int(1, 12), () => random.int(3, 95)));

async function open(native = true): Promise<Llama> {
  return loadModel(folder, { backend: await createCpuBackend({ native }) });
}

async function all(model: Llama, options: AnswerAllOptions): Promise<Answered[]> {
  const answers: Answered[] = [];
  for await (const answer of answerAll(model, prompts, options)) answers.push(answer);
  return answers;
}

describe.each(Object.entries(engines))("answers to a test set (%s)", (_, native) => {
  it("come in order, as each prompt alone gives them, whatever the batch", async () => {
    using model = await open(native);
    const options = { maxNewTokens: 6, stopIds: [5, 9, 40] };
    const alone: Answered[] = [];
    for (const [index, prompt] of prompts.entries()) {
      const ids: number[] = [];
      for await (const id of generate(model, prompt, options)) ids.push(id);
      alone.push({ index, ids });
    }
    for (const batchSize of [1, 2, 5, 64]) expect(await all(model, { ...options, batchSize })).toEqual(alone);
  });
});

it("go on where they were left, also when sampling", async () => {
  using model = await open();
  const options = { maxNewTokens: 5, stopIds: [], batchSize: 3, temperature: 1, seed: 4 };
  const whole = await all(model, options);
  for (let done = 0; done <= prompts.length; done++)
    expect(await all(model, { ...options, done })).toEqual(whole.slice(done));
  expect(await all(model, { ...options, seed: 5 })).not.toEqual(whole);
});

it("stop within a batch", async () => {
  using model = await open();
  const stop = new AbortController();
  const seen: number[] = [];
  const running = (async () => {
    for await (const { index } of answerAll(model, prompts, {
      batchSize: 2,
      maxNewTokens: 400,
      stopIds: [],
      signal: stop.signal,
    }))
      seen.push(index);
  })();
  const reason = new Error("enough");
  setTimeout(() => stop.abort(reason), 20);
  await expect(running).rejects.toBe(reason);
  expect(seen).toEqual([]);
});

it("refuse sizes and prompts that are none", async () => {
  using model = await open();
  await expect(all(model, { batchSize: 0 })).rejects.toThrow("batchSize is 0");
  await expect(all(model, { done: 24 })).rejects.toThrow("done is 24, of 23 prompts");
  await expect(answerAll(model, [[]]).next()).rejects.toThrow("the prompt has no tokens");
});
