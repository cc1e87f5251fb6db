import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { memory } from "@ft/tensor";
import { expectClose } from "@ft/testing";
import { openWeights } from "@ft/weights";
import { describe, expect, it, onTestFinished } from "vitest";
import { configFromGguf, configFromHf, loadModel, saveModel } from "../src/index.ts";
import { goldenBatch, goldenFolder, goldenJson, goldenTensors, realLogits } from "./goldens.ts";

const tolerance = { relative: 1e-4, reason: "float32 on both sides, sums in another order" };

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "ft-models-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

describe("loadModel", () => {
  it.each([
    ["gqa", "llama-gqa"],
    ["llama3-rope", "llama-llama3-rope"],
  ])(
    "reads %s.gguf, rows of q and k put back and frequencies divided, with transformers' logits",
    async (file, name) => {
      using model = await loadModel(join(goldenFolder("llama-gguf"), `${file}.gguf`), {
        backend: await createCpuBackend(),
      });
      const packed = goldenBatch(goldenJson(name).packed);
      const want = (await goldenTensors(name)).get("logits")!;
      expectClose(await realLogits(model, packed), want, tolerance, "logits");
    },
  );

  it("computes the same in f64, to the rounding of f32", async () => {
    const backend = await createCpuBackend();
    using model = await loadModel(goldenFolder("llama-gqa"), { backend, dtype: "f64" });
    const packed = goldenBatch(goldenJson("llama-gqa").packed);
    const want = (await goldenTensors("llama-gqa")).get("logits")!;
    expectClose(await realLogits(model, packed), want, { relative: 1e-5, reason: "the golden values are float32" });
  });

  it.each(["bf16", "f16"] as const)(
    "keeps a %s file's matrices as they are, with the logits of widened ones",
    async (dtype) => {
      const [folder, from] = [await scratch(), goldenFolder("llama-bias")];
      const backend = await createCpuBackend();
      using original = await loadModel(from, { backend });
      await saveModel(original, folder, { from, dtype });
      using narrow = await loadModel(folder, { backend });
      using wide = await loadModel(folder, { backend, weights: "f32" });
      for (const [name, { dtype: held, shape }] of narrow.parameters())
        expect(held, name).toBe(shape.length > 1 ? dtype : "f32");
      for (const [name, { dtype: held }] of wide.parameters()) expect(held, name).toBe("f32");
      const batch = goldenBatch(goldenJson("llama-bias").packed);
      // and they are saved as what they are, whatever they are held in
      for (const [name, model] of [
        ["narrow", narrow],
        ["wide", wide],
      ] as const) {
        await saveModel(model, join(folder, name), { from, dtype: "f32" });
        using again = await loadModel(join(folder, name), { backend });
        for (const [weight, value] of wide.parameters())
          expect(await again.parameters().get(weight)!.read(), weight).toEqual(await value.read());
      }
      // every product is made of the same f32 numbers in the same order
      expect(await realLogits(narrow, batch)).toEqual(await realLogits(wide, batch));
    },
  );

  it("refuses folders of another quantiser by its name", async () => {
    const folder = await scratch();
    await cp(goldenFolder("llama-gqa"), folder, { recursive: true });
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    const quantization_config = { quant_method: "gptq", bits: 4 };
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, quantization_config }));
    const backend = await createCpuBackend();
    await expect(loadModel(folder, { backend })).rejects.toThrow(/config\.json: quantization_config.*"gptq"/);
  });

  it("leaves nothing behind when it fails half way", async () => {
    const folder = await scratch();
    await cp(goldenFolder("llama-gqa"), folder, { recursive: true });
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, intermediate_size: 40 }));
    const backend = await createCpuBackend();
    await expect(loadModel(folder, { backend })).rejects.toThrow(/gate_proj/);
    expect(memory(backend).live).toBe(0);
  });
});

describe("loadModel of a file that contradicts itself", () => {
  it("refuses frequencies of another head size", async () => {
    const bytes = await readFile(join(goldenFolder("llama-gguf"), "llama3-rope.gguf"));
    const name = "rope_freqs.weight";
    const sizeAt = bytes.indexOf(name) + name.length + 4;
    bytes.writeBigUInt64LE(bytes.readBigUInt64LE(sizeAt) - 1n, sizeAt);
    const file = join(await scratch(), "x.gguf");
    await writeFile(file, bytes);
    const backend = await createCpuBackend();
    await expect(loadModel(file, { backend })).rejects.toThrow(
      /rope_freqs\.weight has \d+ values; a head of \d+ needs/,
    );
    expect(memory(backend).live).toBe(0);
  });

  it("refuses frequencies that are divided by nothing", async () => {
    const from = join(goldenFolder("llama-gguf"), "llama3-rope.gguf");
    await using source = await openWeights(from);
    const bytes = await readFile(from);
    const at = bytes.indexOf(Buffer.from((await source.read("rope_freqs.weight", "f32")).buffer));
    const file = join(await scratch(), "x.gguf");
    for (const bad of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      bytes.writeFloatLE(bad, at + 8);
      await writeFile(file, bytes);
      const wrong = loadModel(file, { backend: await createCpuBackend() });
      await expect(wrong).rejects.toThrow(`rope_freqs.weight has the value ${bad}`);
    }
  });

  it("does not count to a billion layers first", async () => {
    const folder = await scratch();
    await cp(goldenFolder("llama-gqa"), folder, { recursive: true });
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    await writeFile(join(folder, "config.json"), JSON.stringify({ ...config, num_hidden_layers: 1e9 }));
    await expect(loadModel(folder, { backend: await createCpuBackend() })).rejects.toThrow(
      /1000000000 layers.*\d+ tensors/,
    );
  });
});

describe("configFromHf", () => {
  it.each(["llama-gqa", "llama-mha-tied", "llama-llama3-rope", "llama-linear-rope", "llama-bias"])(
    "reads what transformers 4 and 5 write of %s alike",
    async (name) => {
      const read = async (file: string) =>
        configFromHf(JSON.parse(await readFile(join(goldenFolder(name), file), "utf8")), "config.json");
      expect(await read("config.legacy.json")).toEqual(await read("config.json"));
    },
  );

  it.each([
    [{ model_type: "gpt2" }, /model_type "gpt2"/],
    [{ num_key_value_heads: 3 }, /num_key_value_heads is 3.*divisor/],
    [{ hidden_size: -4 }, /hidden_size is -4.*positive whole/],
    [{ vocab_size: "many" }, /vocab_size is "many".*number/],
    [{ rope_parameters: { rope_type: "yarn", factor: 2 } }, /rope_type is "yarn"/],
    [{ hidden_act: "gelu" }, /hidden_act is "gelu"/],
  ])("refuses %j by name", async (change, message) => {
    const json = JSON.parse(await readFile(join(goldenFolder("llama-gqa"), "config.json"), "utf8"));
    expect(() => configFromHf({ ...json, ...change }, "config.json")).toThrow(message);
  });
});

describe("configFromGguf", () => {
  const metadata = new Map<string, unknown>([
    ["general.architecture", "llama"],
    ["llama.embedding_length", 64],
    ["llama.feed_forward_length", 96],
    ["llama.block_count", 2],
    ["llama.context_length", 128],
    ["llama.attention.head_count", 4],
    ["llama.attention.head_count_kv", 2],
    ["llama.attention.layer_norm_rms_epsilon", 1e-5],
  ]);
  const facts = { tensors: new Set<string>(), vocabSize: 100 };

  it("takes the size of a head from the model's, where the file does not say it", () => {
    expect(configFromGguf(metadata, "x.gguf", facts)).toMatchObject({ headDim: 16, heads: 4, kvHeads: 2 });
  });

  it.each([
    ["llama.attention.head_count", [4, 4], /x\.gguf: llama\.attention\.head_count is \[4,4\]; expected a number/],
    ["llama.attention.head_count_kv", [2, 1], /head_count_kv is \[2,1\]/],
    ["llama.rope.dimension_count", 8, /llama\.rope\.dimension_count is 8; expected 16/],
    ["general.architecture", "qwen2", /architecture "qwen2"/],
  ])("refuses %s of %j by name", (key, value, message) => {
    expect(() => configFromGguf(new Map(metadata).set(key, value), "x.gguf", facts)).toThrow(message);
  });
});

describe("saveModel", () => {
  it("writes a folder that loads to the same weights, bit for bit", async () => {
    const [folder, from] = [await scratch(), goldenFolder("llama-bias")];
    using model = await loadModel(from, { backend: await createCpuBackend() });
    await saveModel(model, folder, { from, shardSize: 20_000 });
    using again = await loadModel(folder, { backend: await createCpuBackend() });
    for (const [name, value] of model.parameters())
      expect(await again.parameters().get(name)!.read(), name).toEqual(await value.read());
    expect(again.config).toEqual(model.config);
  });

  it("rounds to bf16 once and says so in the config", async () => {
    const [folder, from] = [await scratch(), goldenFolder("llama-gqa")];
    using model = await loadModel(from, { backend: await createCpuBackend() });
    await saveModel(model, folder, { from, dtype: "bf16" });
    const { dtype, torch_dtype } = JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    expect([dtype, torch_dtype]).toEqual(["bfloat16", "bfloat16"]);
    using again = await loadModel(folder, { backend: await createCpuBackend(), weights: "f32" });
    for (const [name, value] of model.parameters()) {
      const [exact, rounded] = [await value.read(), await again.parameters().get(name)!.read()];
      // 8 significant bits, rounded to nearest: within 2^-8 of the value
      const far = exact.findIndex((x, i) => Math.abs(rounded[i]! - x) > 2 ** -8 * Math.abs(x));
      expect(far, name).toBe(-1);
    }
  });
});
