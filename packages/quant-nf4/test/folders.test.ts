import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { loadAdapter } from "@ft/lora";
import { type Llama, loadModel, saveModel, uploadBatch } from "@ft/models";
import type { Linear } from "@ft/nn";
import { type Backend, type DType, memory, type Parameter, scalar, type Tensor, valueAndGrad } from "@ft/tensor";
import { divide } from "@ft/tensor/ops";
import { expectClose } from "@ft/testing";
import { openWeights, type WeightEntry, writeSafetensors } from "@ft/weights";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { goldenBatch, goldenFolder, goldenTensors, realLogits } from "../../models/test/goldens.ts";
import {
  type BitsandbytesOptions,
  bitsandbytesFormat,
  hostWeight,
  Int8Linear,
  meanAbsmax,
  Nf4Linear,
  nestAbsmax,
  quantizeTo4bit,
} from "../src/index.ts";
import { digest, expectBytes, take } from "./support.ts";

/* Folders that transformers wrote with bitsandbytes on a GPU, and what they compute. */

const home = goldenFolder("bnb-llama");
const json = (path: string): Promise<any> => readFile(join(home, path), "utf8").then(JSON.parse);
const { padded } = await json("batch.json");
const host = goldenBatch(padded);
const options: { readonly [name: string]: BitsandbytesOptions } = {
  nf4: { type: "nf4" },
  "nf4-bf16": { type: "nf4" },
  "fp4-tied": { type: "fp4", doubleQuant: false },
  int8: { type: "int8" },
};
const names = Object.keys(options);
const logitsBound = { relative: 1e-3, reason: "the bar; float32 on both sides, sums in another order" };

let backend: Backend;
beforeAll(async () => {
  backend = await createCpuBackend();
});
const load = (name: string, more: BitsandbytesOptions = {}): Promise<Llama> =>
  loadModel(join(home, name), { backend, format: bitsandbytesFormat({ ...options[name], ...more }) });

/** Digests of all that quantised Linears hold. */
async function heldBytes(linears: ReadonlyMap<string, Linear>): Promise<string[]> {
  const found: string[] = [];
  for (const [path, linear] of linears) {
    const held = linear instanceof Nf4Linear || linear instanceof Int8Linear ? Object.values(linear.weight) : [];
    for (const x of held) if (isTensor(x)) found.push(`${path} ${digest(await x.read())}`);
  }
  return found;
}
const isTensor = (x: unknown): x is Tensor => typeof x === "object" && x !== null && "isTensor" in x;

it.each(names)("a %s folder is the same on a backend of its own memory, which gets it in pieces", async (name) => {
  const { adopt: _, ...own } = await createCpuBackend({ poison: true });
  const format = bitsandbytesFormat(options[name]);
  {
    using model = await loadModel(join(home, name), { backend: own, format });
    using want = await load(name);
    expect(await heldBytes(model.linears())).toEqual(await heldBytes(want.linears()));
    expect(model.linears().size).toBeGreaterThan(0);
  }
  expect(memory(own).live).toBe(0);
});

it.each([
  ["nf4", "lm_head", "nf4 head"],
  ["int8", "lm_head", "int8 head"],
  ["fp4-tied", "lm_head", "copy of a tied head"],
  ["nf4", "model.embed_tokens", "embedding"],
])("a %s folder in which %s is quantised is refused by the name of the tensor (%s)", async (name, module) => {
  const folder = await mkdtemp(join(tmpdir(), "ft-bnb-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await cp(join(home, name, "config.json"), join(folder, "config.json"));
  await using theirs = await openWeights(join(home, name));
  // the codes and statistics of another layer, under the head's names
  const taken = "model.layers.0.mlp.down_proj.";
  const moved = [...theirs.tensors.keys()].filter((key) => key.startsWith(taken));
  const kept = [...theirs.tensors.keys()].filter((key) => key !== `${module}.weight`);
  const entry = (key: string, to: string): WeightEntry => {
    const { host: dtype, shape } = theirs.tensors.get(key)!;
    return { name: to, dtype: dtype!, shape, data: () => theirs.read<DType>(key, dtype!) };
  };
  await writeSafetensors(join(folder, "model.safetensors"), [
    ...kept.map((key) => entry(key, key)),
    ...moved.map((key) => entry(key, `${module}.${key.slice(taken.length)}`)),
  ]);
  const loaded = loadModel(folder, { backend, format: bitsandbytesFormat() });
  await expect(loaded).rejects.toMatchObject({
    code: "unsupported",
    message: expect.stringContaining(`"${module}.weight" is quantised`),
    hint: expect.stringContaining(`llm_int8_skip_modules ["${module}"]`),
  });
});

describe.each(names)("the folder %s", (name) => {
  it("is loaded as codes, and has bitsandbytes' logits and loss", async () => {
    const want = await goldenTensors(`bnb-llama/${name}`);
    const golden = await json(`${name}/golden.json`);
    using model = await load(name);
    const quantized = [...model.linears()].filter(([, x]) => x instanceof Nf4Linear || x instanceof Int8Linear);
    expect(quantized.map(([path]) => path).sort()).toEqual([...golden.quantized].sort());
    expectClose(await realLogits(model, host), want.get("logits")!, logitsBound, "logits");
    const { loss, count } = model.loss(uploadBatch(backend, host, model.config.vocabSize));
    expectClose(await loss.read(), [golden.loss.sum], logitsBound, "loss");
    expect([...(await count.read())]).toEqual([golden.loss.count]);
    loss.dispose();
    count.dispose();
  });

  it("is written again as it was: every tensor and the quantisation_config, byte for byte", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ft-bnb-"));
    using model = await load(name);
    const format = bitsandbytesFormat(options[name]);
    const dtype = name === "nf4-bf16" ? "bf16" : "f32";
    await saveModel(model, folder, { from: join(home, name), dtype, format });
    await using ours = await openWeights(folder);
    await using theirs = await openWeights(join(home, name));
    const listed = ({ tensors }: typeof ours): string[] =>
      [...tensors.values()].map((x) => `${x.name} ${x.dtype} ${x.shape.join("×")}`).sort();
    expect(listed(ours)).toEqual(listed(theirs));
    for (const { name: key, host: stored } of theirs.tensors.values())
      expectBytes(await ours.read<DType>(key, stored!), await theirs.read<DType>(key, stored!), key);
    const saved = JSON.parse(await readFile(join(folder, "config.json"), "utf8")).quantization_config;
    const { llm_int8_threshold: _, ...wanted } = (await json(`${name}/config.json`)).quantization_config;
    expect(saved).toEqual(wanted);
    await rm(folder, { recursive: true });
  });

  it("has the bytes that quantising the base here gives: codes, statistics, nested ones by its offset", async () => {
    using theirs = await load(name);
    using ours = await loadModel(join(home, "base"), {
      backend,
      format: bitsandbytesFormat({ ...options[name], ...(options[name]?.type !== "int8" && { doubleQuant: false }) }),
    });
    for (const [path, linear] of ours.linears()) {
      const other = theirs.linears().get(path);
      if (linear instanceof Nf4Linear && other instanceof Nf4Linear) {
        expectBytes(await linear.weight.codes.read(), await other.weight.codes.read(), path);
        const absmax = await take(linear.absmax());
        const { offset } = other.facts;
        if (offset === undefined) {
          expectBytes(absmax, await other.weight.absmax.read(), `absmax of ${path}`);
          continue;
        }
        const ulp = 2 ** (Math.floor(Math.log2(offset)) - 23);
        expect(Math.abs(meanAbsmax(absmax) - offset) / ulp, `offset of ${path}`).toBeLessThanOrEqual(2);
        const nested = nestAbsmax(backend, absmax, offset);
        expectBytes(await take(nested.absmax), await other.weight.absmax.read(), `absmax of ${path}`);
        expectBytes(await take(nested.nestedAbsmax), await other.weight.nestedAbsmax!.read(), `nested ${path}`);
        nested.offset.dispose();
      } else if (linear instanceof Int8Linear && other instanceof Int8Linear) {
        expectBytes(await linear.weight.absmax.read(), await other.weight.absmax.read(), `absmax of ${path}`);
        expectBytes(await linear.weight.codes.read(), await other.weight.codes.read(), path);
      } else expect.fail(`${path} is not quantised`);
    }
  });
});

const trained = names.filter((name) => name !== "nf4-bf16");

describe.each(trained)("QLoRA over %s", async (name) => {
  const want = await goldenTensors(`bnb-llama/${name}`);
  const golden = await json(`${name}/golden.json`);

  /** Loss and gradients of the adapter on the golden batch. */
  const gradients = (model: Llama, parameters: ReadonlyMap<string, Parameter>) => {
    const batch = uploadBatch(backend, host, model.config.vocabSize);
    const count = scalar(backend, "f32", host.targetTokens);
    return valueAndGrad(parameters, () => divide(model.loss(batch).loss as Tensor<"f32", readonly []>, count));
  };

  it("has the loss, logits and every gradient of PEFT over bitsandbytes", async () => {
    using model = await load(name);
    const adapter = await loadAdapter(model, join(home, "adapter"));
    expectClose(await realLogits(model, host), want.get("lora.logits")!, logitsBound, "logits");
    const { value, grads } = gradients(model, adapter.parameters());
    expectClose(await value.read(), [golden.lora.loss.mean], logitsBound, "loss");
    expect(grads.size).toBe(28);
    for (const [key, grad] of grads)
      expectClose(await grad.read(), want.get(`lora.grad.${key}`)!, { relative: 1e-3, reason: "the bar" }, key);
  });

  it("leaves the bytes of the base as they were, step after step", async () => {
    using model = await load(name);
    const base = new Map(model.linears());
    const adapter = await loadAdapter(model, join(home, "adapter"));
    const before = await heldBytes(base);
    expect(before.length).toBeGreaterThanOrEqual(28);
    for (let step = 0; step < 3; step++) {
      const { value, grads } = gradients(model, adapter.parameters());
      value.dispose();
      for (const [key, grad] of grads) {
        const parameter = adapter.parameters().get(key)!;
        const [old, g] = [await parameter.read(), await grad.read()];
        parameter.write(Float32Array.from(old, (x, i) => x - 0.1 * g[i]!));
        grad.dispose();
      }
    }
    expect(await heldBytes(base)).toEqual(before);
  });
});

it("leaves modules to skip as floats, and tells other tools so", async () => {
  const format = bitsandbytesFormat({ skipModules: ["down_proj", "model.layers.1.self_attn.q_proj"] });
  using model = await loadModel(join(home, "base"), { backend, format });
  const dense = [...model.linears()].filter(([, x]) => !(x instanceof Nf4Linear)).map(([path]) => path);
  const left = ["model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj", "model.layers.1.self_attn.q_proj"];
  expect(dense.sort()).toEqual(left);
  const quantized = new Map([...model.linears()].filter(([, x]) => x instanceof Nf4Linear));
  const skipped: unknown = format.config(quantized).llm_int8_skip_modules;
  expect([...(skipped as string[])].sort()).toEqual(["lm_head", ...left]);

  const folder = await mkdtemp(join(tmpdir(), "ft-bnb-"));
  await saveModel(model, folder, { from: join(home, "base"), format });
  const again = bitsandbytesFormat();
  using loaded = await loadModel(folder, { backend, format: again });
  expect(await heldBytes(loaded.linears())).toEqual(await heldBytes(model.linears()));
  expect([...loaded.linears()].filter(([, x]) => !(x instanceof Nf4Linear))).toHaveLength(3);
  await rm(folder, { recursive: true });
});

it("quantises what a GGUF file has, with its rows in order", async () => {
  const gguf = join(goldenFolder("llama-gguf"), "gqa.gguf");
  using model = await loadModel(gguf, { backend, format: bitsandbytesFormat() });
  using dense = await loadModel(gguf, { backend, weights: "f32" });
  for (const [path, linear] of model.linears()) {
    const weight = dense.linears().get(path)!.materialize("f32");
    const format = { type: "nf4", blockSize: 64, doubleQuant: true } as const;
    const wanted = await quantizeTo4bit(backend, await hostWeight(path, weight), format);
    if (!(linear instanceof Nf4Linear)) throw new Error(`${path} is not quantised`);
    expectBytes(await linear.weight.codes.read(), await wanted.weight.codes.read(), path);
    expectBytes(await linear.weight.absmax.read(), await wanted.weight.absmax.read(), path);
    weight.dispose();
    wanted.dispose();
  }
});
