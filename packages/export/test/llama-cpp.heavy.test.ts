import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { loadTokenizer, tokenizerFilesFromGguf } from "@ft/data";
import { applyLora, saveAdapter } from "@ft/lora";
import { type CausalLm, generate, loadModel, loadModelFrom, readCompanions } from "@ft/models";
import { sizeOf } from "@ft/tensor";
import { smollm2Path } from "@ft/testing";
import { openGguf } from "@ft/weights";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LogitSource } from "../src/check/logit-source.ts";
import {
  asWeights,
  type ExportSource,
  exportGguf,
  exportLoraGguf,
  type GgufFileType,
  ggufFileTypes,
  logitKl,
  openExportSource,
} from "../src/index.ts";
import { hasConsumer } from "./consumers.ts";
import { ggmlForward } from "./ggml-forward.ts";
import { hashedSource, hashedValues } from "./hashed-model.ts";
import { LlamaCpp } from "./llama-cpp.ts";
import { texts } from "./texts.ts";

const quickstart = fileURLToPath(new URL("../../../examples/quickstart/model", import.meta.url));
const smollm2 = smollm2Path();
const vocab = 1536; // of the quickstart's tokenizer
const prompt = Array.from({ length: 24 }, (_, i) => 5 + ((i * 7919) % 1500));

const backend = await createCpuBackend();
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-llama-cpp-"));
});
afterAll(async () => {
  backend.dispose?.();
  await rm(dir, { recursive: true, force: true });
});

/** A small model with the quickstart's tokenizer; its norms are about 1, so that layers add what they compute. */
async function small(hidden: number, extra: Readonly<Record<string, unknown>> = {}): Promise<ExportSource> {
  const tied = hidden % 256 !== 0;
  const base = hashedSource({ hidden, ff: 2 * hidden, layers: 2, heads: 4, kv: 2, vocab, tied }, extra);
  const { files } = await readCompanions(quickstart);
  return {
    ...{ ...base, files },
    async readWindow(name, start, count) {
      const values = await base.readWindow(name, start, count);
      return name.includes("norm") ? values.map((value) => 1 + value) : values;
    },
  };
}

/** Logits [positions, width] that are there already, in the place of a model. */
function given(logits: Float32Array, width = vocab): LogitSource {
  return {
    vocabSize: width,
    maxPositions: logits.length / width,
    async *logitRows(_, rows) {
      for (let at = 0; at < logits.length; at += rows * width) yield logits.subarray(at, at + rows * width);
    },
  };
}

/** A file in llama.cpp. */
async function native(path: string, ids = prompt, width = vocab, adapter?: string): Promise<LogitSource> {
  await using model = await LlamaCpp.open(path);
  return given(await model.logits(ids, width, adapter), width);
}

/** Mean over the positions of the divergence from the first, in nats. */
async function meanKl(p: CausalLm | LogitSource, q: CausalLm | LogitSource, ids = prompt): Promise<number> {
  return (await logitKl(p, q, [ids])).meanKl;
}

/** A source's weights as they are, which know nothing of GGUF. */
async function own(source: ExportSource): Promise<Awaited<ReturnType<typeof loadModelFrom>>> {
  const { weights, facts } = asWeights(source);
  return loadModelFrom(weights, facts, { backend });
}

describe.skipIf(!hasConsumer("node-llama-cpp"))("GGUF files in llama.cpp (skips without tools/consumers)", () => {
  const cases = [256, 288].flatMap((hidden) => ggufFileTypes.map((type) => ({ type, hidden })));
  it.each(cases)("$type, rows of $hidden: computes with the weights that the file stands for", async (one) => {
    const path = join(dir, `${one.hidden}.${one.type}.gguf`);
    await exportGguf(await small(one.hidden), path, { type: one.type });
    // ggml rounds what enters a product to the weights' own precision; ggmlForward does, too. What is left are numbers at the edge of
    // two steps, which fall to either side: measured 8e-5 at most, mostly 1e-14
    expect(await meanKl(given(await ggmlForward(path, prompt)), await native(path))).toBeLessThan(1e-4);
  });

  it.each([
    ["as it is", {}],
    ["Llama 3's rope scaling", llama3()],
    ["linear rope scaling", { rope_scaling: { rope_type: "linear", factor: 2 } }],
    ["biases", { attention_bias: true }],
    ["heads of another width", { head_dim: 32 }],
  ])("computes what our own forward does over the weights before the export: %s", async (_, extra) => {
    const source = await small(256, extra);
    using model = await own(source);
    for (const [type, bound] of [
      ["F32", 1e-9],
      ["F16", 1e-5],
    ] as const) {
      const path = join(dir, `own.${type}.gguf`);
      await exportGguf(source, path, { type });
      expect(await meanKl(model, await native(path))).toBeLessThan(bound);
      await rm(path);
    }
  });

  it.each([
    ["plain", { r: 4, alpha: 8 }],
    ["rank-stabilised, two ranks", { r: 4, alpha: 8, rsLora: true, rankPattern: { q_proj: 2, down_proj: 6 } }],
  ])("puts a LoRA adapter over the base: %s", async (name, options) => {
    const source = await small(256);
    const base = join(dir, `${name}.base.gguf`);
    await exportGguf(source, base, { type: "F32" });
    const folder = join(dir, name);
    using model = await own(source);
    const adapter = applyLora(model, options);
    let seed = 100;
    for (const parameter of adapter.parameters().values())
      parameter.write(hashedValues(sizeOf(parameter.shape), seed++));
    await saveAdapter(adapter, folder);
    const path = join(dir, `${name}.lora.gguf`);
    await exportLoraGguf(folder, source.config, path);
    expect(await meanKl(model, await native(base, prompt, vocab, path))).toBeLessThan(1e-9);
    expect(await meanKl(model, await native(base))).toBeGreaterThan(1e-3);
    await rm(base);
  });

  it("cuts texts as our tokenizer does, and knows the ends of answers", async () => {
    const path = join(dir, "tokens.gguf");
    await exportGguf(await small(256), path, { type: "F16" });
    const tokenizer = await loadTokenizer(quickstart);
    await using model = await LlamaCpp.open(path);
    for (const text of texts)
      expect(model.tokenize(text), text).toEqual(tokenizer.encode(text, { addSpecialTokens: false }));
    for (const id of tokenizer.stopIds) expect(model.isEnd(id), `${id}`).toBe(true);
    expect(model.tokens.shouldPrependBosToken).toBe(tokenizer.addsBos);
    expect(Object(model.metadata).tokenizer.chat_template).toBe(tokenizer.chatTemplate);
  });

  describe.skipIf(!existsSync(smollm2))("SmolLM2-135M (skips without its GGUF)", async () => {
    const golden = new URL("../../../tools/goldens/data/smollm2/golden.json", import.meta.url);
    const { greedy } = JSON.parse(await readFile(golden, "utf8"));
    const ids: number[] = [...greedy[0].promptIds, ...greedy[0].ids].slice(0, 40);
    const width = 49_152;

    async function exported(type: GgufFileType): Promise<string> {
      await using file = await openGguf(smollm2);
      const files = tokenizerFilesFromGguf(file.metadata);
      await using source = await openExportSource(smollm2, { backend, files });
      const path = join(dir, `smollm2.${type}.gguf`);
      await exportGguf(source, path, { type });
      return path;
    }

    it("goes on greedily as generate() does, and cuts texts alike", async () => {
      const path = await exported("F32");
      using model = await loadModel(smollm2, { backend });
      const tokenizer = await loadTokenizer(smollm2);
      await using llama = await LlamaCpp.open(path);
      for (const text of texts)
        expect(llama.tokenize(text), text).toEqual(tokenizer.encode(text, { addSpecialTokens: false }));
      for (const { promptIds } of greedy) {
        const want: number[] = [];
        for await (const id of generate(model, promptIds, { maxNewTokens: 64, stopIds: [] })) want.push(id);
        const logits = await llama.logits([...promptIds, ...want.slice(0, -1)], width);
        const rows = want.map((_, i) => logits.subarray((promptIds.length - 1 + i) * width).subarray(0, width));
        expect(rows.map((row) => row.reduce((best, value, id) => (value > row[best]! ? id : best), 0))).toEqual(want);
      }
      await rm(path);
    });

    // how far each type is from the weights before it, in llama.cpp itself: a report, bounded at about twice what was measured
    it.each([
      ["F16", 1e-4],
      ["BF16", 1e-3],
      ["Q8_0", 0.03],
      ["Q6_K", 0.05],
      ["Q5_K_M", 0.4],
      ["Q4_K_M", 0.6],
      ["Q4_0", 1.2],
    ] as const)("%s is as near to the model as its bits allow", async (type, bound) => {
      const path = await exported(type);
      using model = await loadModel(smollm2, { backend });
      using file = await loadModel(path, { backend });
      const llama = await native(path, ids, width);
      const kl = { model: await meanKl(model, llama, ids), weights: await meanKl(model, file, ids) };
      const activations = await meanKl(file, llama, ids);
      console.log(
        `SmolLM2 as ${type}: KL to the model ${kl.model.toExponential(2)} in llama.cpp, ${kl.weights.toExponential(2)} in ft;`,
        `of llama.cpp to ft over the same file ${activations.toExponential(2)}: it rounds activations`,
      );
      expect(kl.model).toBeLessThan(bound);
      expect(kl.weights).toBeLessThan(bound);
      await rm(path);
    });
  });
});

function llama3(): Readonly<Record<string, unknown>> {
  const bands = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };
  return { rope_scaling: { rope_type: "llama3", factor: 8, ...bands } };
}
