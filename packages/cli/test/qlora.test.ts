import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openSafetensors } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { emptyFolder, ft } from "./run-ft.ts";
import { someRows, tinyModel } from "./tiny-model.ts";

async function setup() {
  const folder = await emptyFolder();
  const model = await tinyModel(join(folder, "model"));
  const data = await someRows(join(folder, "rows.json"));
  const train = (out: string, ...more: string[]) =>
    ft(
      ...["train", "--model", model, "--data", data, "--out", join(folder, out), "--batch-size", "4"],
      ...["--learning-rate", "1e-2", ...more],
    );
  const adapterOf = (out: string): Promise<Buffer> => readFile(join(folder, out, "adapter/adapter_model.safetensors"));
  return { folder, model, data, train, adapterOf };
}

const config = async (out: string) => JSON.parse(await readFile(join(out, "run.json"), "utf8")).config;

describe("ft train --method qlora", () => {
  it("learns over an NF4 base, with 8-bit state in its checkpoint", async () => {
    const { folder, train } = await setup();
    const { code, err } = await train("run", "--method", "qlora", "--max-steps", "30", "--min8bit-size", "0");
    expect(err).toMatch(/base +nf4, blocks of 64, double quantisation, products in f32\nrecipe +qlora.*adamw8bit/);
    expect(code).toBe(0);
    const lines = (await readFile(join(folder, "run/metrics.jsonl"), "utf8")).trim().split("\n");
    const evals = lines.map((line) => JSON.parse(line)).filter(({ type }) => type === "eval");
    expect(evals.at(-1).loss).toBeLessThan(0.8 * evals[0].loss);
    const slots = join(folder, "run/checkpoints/step-000030/optimizer.safetensors");
    await using source = await openSafetensors(slots);
    expect([...source.tensors].filter(([name]) => /^[mv]:/.test(name)).map(([, { host }]) => host)).toEqual(
      Array.from({ length: 2 * 2 * 14 }, () => "u8"),
    );
    expect(await config(join(folder, "run"))).toMatchObject({
      method: "qlora",
      quantization: { type: "nf4", doubleQuant: true, blockSize: 64, computeDtype: "f32" },
      checkpointing: true,
    });
  });

  it("is lora with quantization, to the byte", async () => {
    const { folder, train, adapterOf } = await setup();
    await train("one", "--method", "qlora", "--max-steps", "4", "--quantization-type", "fp4");
    await writeFile(join(folder, "lora.yaml"), "finetuning_type: lora\nload_in_4bit: true\nbnb_4bit_quant_type: fp4\n");
    const two = await ft(
      ...["train", join(folder, "lora.yaml"), "--model", join(folder, "model"), "--data", join(folder, "rows.json")],
      ...["--out", join(folder, "two"), "--max-steps", "4", "--batch-size", "4", "--learning-rate", "1e-2"],
    );
    expect(two.code).toBe(0);
    expect((await adapterOf("two")).equals(await adapterOf("one"))).toBe(true);
  });

  it.each([
    ["nf4", []],
    ["nf4", ["--no-double-quant"]],
    ["fp4", ["--block-size", "128"]],
    ["int8", []],
  ])("over a folder that ft export wrote is the same run, to the byte: %s %j", async (type, more) => {
    const { folder, model, data, train, adapterOf } = await setup();
    const exported = join(folder, "exported");
    const { code } = await ft("export", "--to", "bnb", "--model", model, "--out", exported, "--type", type, ...more);
    expect(code).toBe(0);
    const flags = more.map((flag) => flag.replace(/^--(no-)?/, "--$1quantization-"));
    const run = ["--method", "qlora", "--max-steps", "4"];
    await train("one", ...run, "--quantization-type", type, ...flags);
    const two = await ft(
      ...["train", "--model", exported, "--data", data, "--out", join(folder, "two"), "--batch-size", "4"],
      ...["--learning-rate", "1e-2", ...run],
    );
    expect(two.code).toBe(0);
    expect((await adapterOf("two")).equals(await adapterOf("one"))).toBe(true);
    expect((await config(join(folder, "two"))).quantization).toEqual((await config(join(folder, "one"))).quantization);
  });

  it("keeps its numbers wherever the optimizer's state is, and resumes in another place", async () => {
    const { folder, train, adapterOf } = await setup();
    const flags = ["--method", "qlora", "--min8bit-size", "0", "--save-every", "3"];
    for (const place of ["device", "host", "file"])
      expect((await train(place, ...flags, "--max-steps", "6", "--optimizer-placement", place)).code).toBe(0);
    for (const place of ["host", "file"])
      expect((await adapterOf(place)).equals(await adapterOf("device")), place).toBe(true);
    const elsewhere = ["--optimizer-placement", "file", "--optimizer-folder", join(folder, "swap")];
    expect((await train("run", ...flags, "--max-steps", "3", "--schedule", "constant")).code).toBe(0);
    expect((await train("straight", ...flags, "--max-steps", "6", "--schedule", "constant")).code).toBe(0);
    const resumed = await train(
      "run",
      ...[...flags, "--max-steps", "6", "--schedule", "constant", "--resume", ...elsewhere],
    );
    expect(resumed.err).toMatch(/resumed after step 3/);
    expect((await adapterOf("run")).equals(await adapterOf("straight"))).toBe(true);
  });

  it.each([
    ["adamw", "textbook", "bitsandbytes"],
    ["adamw8bit", "bitsandbytes", "textbook"],
  ])("steps %s in the order of the %s unless optimizerOrder says otherwise", async (optimizer, usual, other) => {
    const { train, adapterOf } = await setup();
    const flags = ["--method", "qlora", "--max-steps", "4", "--optimizer", optimizer, "--weight-decay", "0.5"];
    if (optimizer.endsWith("8bit")) flags.push("--min8bit-size", "0");
    expect((await train("absent", ...flags)).code).toBe(0);
    for (const order of [usual, other]) expect((await train(order, ...flags, "--optimizer-order", order)).code).toBe(0);
    expect((await adapterOf(usual)).equals(await adapterOf("absent"))).toBe(true);
    expect((await adapterOf(other)).equals(await adapterOf("absent"))).toBe(false);
  });

  it.each([
    [["--quantization-block-size", "128"], /with quantization .*blockSize 64.*, this run has .*blockSize 128/],
    [["--optimizer", "lion8bit"], /with optimizer groups\(adamw8bit.*this run has groups\(lion8bit/],
    [["--beta2", "0.9"], /with optimizerSettings none, this run has beta2 0\.9/],
  ])("does not resume with %j", async (changed, message) => {
    const { train } = await setup();
    const flags = ["--method", "qlora", "--max-steps", "2"];
    expect((await train("run", ...flags)).code).toBe(0);
    const { code, err } = await train("run", ...flags, "--resume", ...changed);
    expect([code, err]).toEqual([2, expect.stringMatching(message)]);
  });
});

describe("ft train --method full", () => {
  it("trains bf16 weights with f32 masters, and saves what they are masters of", async () => {
    const { folder, train } = await setup();
    const flags = ["--method", "full", "--max-steps", "6"];
    const { code, err } = await train("run", ...flags, "--weight-dtype", "bf16", "--optimizer", "adamw8bit");
    expect(err).toMatch(/saved/);
    expect(code).toBe(0);
    await using source = await openSafetensors(join(folder, "run/model/model.safetensors"));
    expect(source.tensors.get("model.embed_tokens.weight")?.host).toBe("bf16");
    await using slots = await openSafetensors(join(folder, "run/checkpoints/step-000006/optimizer.safetensors"));
    expect(slots.tensors.get("master:model.layers.0.mlp.up_proj.weight")?.host).toBe("f32");
  });
});

describe("a folder that transformers and bitsandbytes saved", () => {
  const goldens = fileURLToPath(new URL("../../../tools/goldens/data/bnb-llama/", import.meta.url));

  /** One of them with a tokenizer of as many tokens as it has. */
  async function saved(name: string): Promise<string> {
    const folder = join(await emptyFolder(), name);
    await cp(join(goldens, name), folder, { recursive: true });
    const tokens = await tinyModel(join(folder, "other"));
    const tokenizer = JSON.parse(await readFile(join(tokens, "tokenizer.json"), "utf8"));
    const { vocab } = tokenizer.model;
    for (const [token, id] of Object.entries(vocab)) if (Number(id) >= 96) delete vocab[token];
    await writeFile(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
    await cp(join(tokens, "tokenizer_config.json"), join(folder, "tokenizer_config.json"));
    return folder;
  }

  it.each([
    ["nf4", { type: "nf4", doubleQuant: true, blockSize: 64, computeDtype: "f32" }],
    ["nf4-bf16", { type: "nf4", doubleQuant: true, blockSize: 64, computeDtype: "f32" }],
    ["fp4-tied", { type: "fp4", doubleQuant: false, blockSize: 64, computeDtype: "f32" }],
    ["int8", { type: "int8", computeDtype: "f32" }],
  ])("%s answers, and trains with lora and qlora alike", async (name, quantization) => {
    const model = await saved(name);
    const answer = await ft("generate", "--model", model, "--prompt", "hi", "--max-new-tokens", "3", "--json");
    expect([answer.code, answer.err]).toEqual([0, ""]);
    const data = await someRows(join(model, "rows.json"));
    const files: Buffer[] = [];
    for (const method of ["lora", "qlora"]) {
      const out = join(model, method);
      const flags = ["--optimizer", "adamw", "--max-steps", "3", "--batch-size", "4"];
      const ran = await ft("train", "--model", model, "--data", data, "--out", out, "--method", method, ...flags);
      expect([ran.code, ran.err]).toEqual([0, expect.stringMatching(/saved/)]);
      files.push(await readFile(join(out, "adapter/adapter_model.safetensors")));
      expect((await config(out)).quantization).toEqual(method === "qlora" ? quantization : undefined);
    }
    expect(files[0]!.equals(files[1]!)).toBe(true);
  });
});
