import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { createPlanBackend } from "@ft/backend-plan";
import { loadModel, loadModelFrom } from "@ft/models";
import { bitsandbytesFormat } from "@ft/quant-nf4";
import { memory } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { describeModel } from "../src/plan/described-model.ts";
import { plannedFormat } from "../src/plan/planned-format.ts";
import { emptyFolder, ft } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

/** Llama-3.2-1B. */
const large = {
  model_type: "llama",
  vocab_size: 128256,
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  max_position_embeddings: 131072,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
};

async function configAlone(changes: object = {}): Promise<string> {
  const folder = await emptyFolder();
  await writeFile(join(folder, "config.json"), JSON.stringify({ ...large, ...changes }));
  return folder;
}

interface Document {
  readonly parameters: number;
  readonly trainable: number;
  readonly memory: Readonly<Record<string, number>>;
  readonly moments: { readonly loading: number; readonly step: number; readonly saving: number };
  readonly host: number;
  readonly peak: number;
  readonly limit: number;
  readonly fits: boolean;
  readonly batch: { readonly rows: number; readonly length: number };
  readonly time: { readonly step: number; readonly steps?: number; readonly flops: number };
  readonly advice?: readonly {
    readonly set: string;
    readonly peak: number;
    readonly saves: number;
    readonly fits: boolean;
  }[];
}

async function plan(...args: string[]): Promise<Document> {
  const { code, out, err } = await ft("plan", ...args, "--json");
  expect(err).not.toContain("error");
  expect(code).toBe(0);
  return JSON.parse(out);
}

describe("ft plan", () => {
  it("needs nothing of a model but its config", async () => {
    const layers = 4;
    const folder = await configAlone({ num_hidden_layers: layers });
    const got = await plan(
      "--model",
      folder,
      "--method",
      "qlora",
      "--lora-r",
      "16",
      "--batch-size",
      "1",
      "--memory",
      "24GB",
    );
    const linears = layers * (2048 * (2 * 2048 + 2 * 512) + 3 * 2048 * 8192);
    // 7 projections of each layer: r · (in + out) each
    expect(got.trainable).toBe(16 * layers * (2048 + 2048 + 2 * (2048 + 512) + 2048 + 2048 + 3 * (2048 + 8192)));
    expect(got.parameters).toBe(linears + 128256 * 2048 + (2 * layers + 1) * 2048 + got.trainable);
    // codes, a byte for 64 weights, four bytes and an offset for 64 · 256; table and norms beside them
    const nf4 = linears / 2 + linears / 64 + linears / 4096 + 4 * 7 * layers;
    expect(got.memory.weights).toBe(nf4 + 2 * 128256 * 2048 + 4 * (2 * layers + 1) * 2048 + 4 * 32);
    expect(got.memory.adapters).toBe(4 * got.trainable + 4);
    expect(got.fits).toBe(true);
    expect(got.advice).toBeUndefined();
    const sum = Object.values(got.memory).reduce((a, b) => a + b, 0);
    expect(got.moments.step).toBeCloseTo(sum, -1);
    expect(got.peak).toBe(Math.max(...Object.values(got.moments)));
    // forward twice and the gradient of inputs: 6 FLOP a weight and token, the table 4 (the loss is not made again)
    const products = 512 * (6 * linears + 4 * 128256 * 2048);
    expect(got.time.flops / products).toBeGreaterThan(1);
    expect(got.time.flops / products).toBeLessThan(1.1);
  });

  it("says what would make a run fit, and by how much, alone and together", async () => {
    const folder = await configAlone({ num_hidden_layers: 4 });
    const args = ["--model", folder, "--lora-r", "16", "--batch-size", "4"];
    const whole = await plan(...args, "--memory", "24GB");
    const small = await plan(...args, "--memory", "1500MB");
    expect(small.fits).toBe(false);
    const advice = new Map(small.advice?.map((one) => [one.set, one]));
    for (const set of [
      "checkpointing: true",
      "batchSize: 1, accumulation: 4",
      "method: qlora (NF4)",
      "optimizer: adamw8bit",
    ])
      expect(advice.get(set)?.saves, set).toBeGreaterThan(0);
    // what is said of a change is what a plan with it says
    const checkpointed = await plan(...args, "--checkpointing", "--memory", "24GB");
    const saved =
      whole.moments.step - whole.memory.runtime! - (checkpointed.moments.step - checkpointed.memory.runtime!);
    expect(Math.abs(saved - (advice.get("checkpointing: true")?.saves ?? 0))).toBeLessThan(1e4);
    expect(small.advice?.at(-1)?.set).toContain("; ");
    expect(small.advice?.at(-1)?.fits).toBe(true);
    const { out } = await ft("plan", ...args, "--memory", "1500MB");
    expect(out).toMatch(/memory +1\.50 GB {2}as given: does not fit/);
    expect(out).toMatch(/checkpointing: true\n +saves [\d.]+ [GM]B -> [\d.]+ [GM]B;/);
  });

  it("reads rows where data are given, and knows the time of the run then", async () => {
    const folder = await emptyFolder();
    const model = await tinyModel(join(folder, "model"));
    const data = await someRows(join(folder, "rows.json"));
    const got = await plan(
      "--model",
      model,
      "--data",
      data,
      "--batch-size",
      "8",
      "--epochs",
      "2",
      "--validation-fraction",
      "0",
    );
    expect(got.time.steps).toBe(10);
    expect(got.batch.rows).toBe(8);
    expect(got.batch.length).toBeLessThan(60);
    const assumed = await plan("--model", model, "--batch-size", "8");
    expect(assumed.batch.length).toBe(256);
    expect(assumed.time.steps).toBeUndefined();
    expect(assumed.time.flops).toBeGreaterThan(got.time.flops);
  });

  it("keeps the optimizer's state out of memory when it is in a file", async () => {
    const folder = await configAlone({ num_hidden_layers: 1, vocab_size: 32000 });
    const args = ["--model", folder, "--method", "full", "--batch-size", "1", "--max-length", "64", "--memory", "24GB"];
    const [device, host, file] = [
      await plan(...args),
      await plan(...args, "--optimizer-placement", "host"),
      await plan(...args, "--optimizer-placement", "file"),
    ];
    const state = 8 * device.trainable;
    const stepOf = ({ moments, memory: { runtime = 0 } }: Document): number => moments.step - runtime;
    for (const { memory } of [device, host, file]) expect(memory.optimizer).toBe(state);
    expect(stepOf(device) - stepOf(file)).toBeGreaterThan(0.9 * state);
    expect(stepOf(host) - stepOf(file)).toBeGreaterThan(0.9 * state);
  });

  it("counts what lies in host memory apart from a card, and proposes it", async () => {
    const folder = await configAlone({ num_hidden_layers: 1, vocab_size: 32000 });
    const args = ["--model", folder, "--backend", "cuda", "--method", "full", "--batch-size", "1"];
    const at = (placement: string) => [...args, "--memory", "24GB", "--optimizer-placement", placement];
    const [device, host, file] = [await plan(...at("device")), await plan(...at("host")), await plan(...at("file"))];
    const state = 8 * device.trainable;
    expect([device.host, host.host, host.memory.optimizer]).toEqual([0, state, state]);
    expect(host.moments).toEqual(file.moments);
    expect(device.moments.step - host.moments.step).toBeGreaterThan(0.9 * state);
    const { out } = await ft("plan", ...at("host"));
    expect(out).toMatch(/^optimizer .* in host memory, not part of the sum$/m);
    expect(out).toMatch(/^host +[\d.]+ GB {2}of this machine's memory beside the card: the optimizer's state$/m);
    expect(out).toContain("activations in f32");
    const small = await plan(...args, "--memory", "1GB");
    expect(small.advice?.find(({ set }) => set === "optimizerPlacement: host")?.peak).toBe(host.peak);
  });

  it("says that offload is planned as plain checkpointing on a card, and that 16 bits are slow on the CPU", async () => {
    const args = ["--model", await configAlone({ num_hidden_layers: 2 }), "--batch-size", "1", "--memory", "24GB"];
    const cuda = [...args, "--backend", "cuda"];
    const [offload, plain] = [await ft("plan", ...cuda, "--checkpointing", "offload"), await ft("plan", ...cuda)];
    expect(offload.out).toContain("checkpointing: offload is planned as true");
    expect(plain.out).not.toContain("offload");
    const [a, b] = [await plan(...cuda, "--checkpointing=offload"), await plan(...cuda, "--checkpointing")];
    expect(a.moments).toEqual(b.moments);
    const { out, err } = await ft("plan", ...args, "--backend", "cpu", "--dtype", "bf16");
    expect(err).toMatch(/^dtype bf16 is computed by slow reference kernels here/m);
    expect(out).toMatch(/^backend .*products in f32, activations in bf16$/m);
  });

  it.each([
    ["no model", [], /model is not given/],
    ["a folder without a config", ["--model", "EMPTY"], /config\.json/],
    ["a size that is none", ["--model", "CONFIG", "--memory", "lots"], /memory "lots"/],
    ["a size without a unit", ["--model", "CONFIG", "--memory", "24"], /give a unit, such as 24GB/],
    ["rows without a tokenizer", ["--model", "CONFIG", "--data", "rows.json"], /tokenizer/],
    ["a longer row than the model's context", ["--model", "CONFIG", "--max-length", "200000"], /maxLength is 200000/],
    ["an optimizer that is none", ["--model", "CONFIG", "--optimizer", "adamx"], /no optimizer "adamx"/],
    ["another kind of model", ["--model", "OTHER"], /model_type "gpt2"/],
  ])("refuses %s with exit code 2", async (_, args, message) => {
    const places = new Map([
      ["EMPTY", await emptyFolder()],
      ["CONFIG", await configAlone({ num_hidden_layers: 1 })],
      ["OTHER", await configAlone({ model_type: "gpt2" })],
    ]);
    const { code, out, err } = await ft("plan", ...args.map((arg) => places.get(arg) ?? arg));
    expect(err).toMatch(message);
    expect(err).not.toMatch(/internal fault|TypeError|\n +at /);
    expect([code, out]).toEqual([2, ""]);
  });
});

describe("a described model", () => {
  it.each([
    ["nf4", { type: "nf4", doubleQuant: true, blockSize: 64 }],
    ["fp4 without double quantisation", { type: "fp4", doubleQuant: false, blockSize: 128 }],
    ["int8", { type: "int8" }],
  ] as const)("holds what the loaded one holds, buffer by buffer: %s", async (_, quantization) => {
    const folder = await emptyFolder();
    const path = await tinyModel(folder, { attention_bias: true });
    const cpu = await createCpuBackend({ threads: 1 });
    using model = await loadModel(path, { backend: cpu, format: bitsandbytesFormat(quantization) });
    const { live, bytes } = memory(cpu);
    // and the files may go
    const { config, source } = await describeModel(path);
    await rm(join(folder, "model.safetensors"));
    const backend = createPlanBackend({ like: cpu });
    using planned = await loadModelFrom(
      source,
      { config, quantized: false },
      { backend, format: plannedFormat(quantization, true) },
    );
    expect([memory(backend).live, memory(backend).bytes]).toEqual([live, bytes]);
    const sizes = (one: typeof model): number[] => [...one.linears().values()].map((linear) => linear.bytes);
    expect(sizes(planned)).toEqual(sizes(model));
  });
});

describe("ft train", () => {
  it.each([
    ["LoRA", ["--lora-r", "4"]],
    ["QLoRA", ["--method", "qlora", "--lora-r", "4", "--min8bit-size", "0"]],
  ])("holds the tensors that were planned, and says so: %s", async (_, args) => {
    const folder = await emptyFolder();
    await mkdir(folder, { recursive: true });
    const model = await tinyModel(join(folder, "model"), { hidden_size: 64, intermediate_size: 128 });
    const data = await someRows(join(folder, "rows.json"));
    const rest = ["--model", model, "--data", data, "--batch-size", "8", "--epochs", "1", "--validation-fraction", "0"];
    const ran = await ft("train", ...rest, ...args, "--out", join(folder, "run"), "--json");
    expect(ran.code).toBe(0);
    const { memory } = JSON.parse(ran.out);
    expect(memory.planned.tensors).toBe(memory.measured.tensors);
    expect(memory.measured.resident).toBeGreaterThan(memory.measured.tensors);
    expect(ran.err).toMatch(/^memory +planned [\d.]+ [kMG]B, of it tensors [\d.]+ [kMG]B; measured /m);
  });
});
