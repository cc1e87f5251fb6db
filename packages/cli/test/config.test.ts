import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Command } from "commander";
import { describe, expect, it } from "vitest";

import { readConfigFile, resolveConfig } from "../src/config/read-config.ts";
import { flagSpecs, parseConfig } from "../src/config/schema.ts";
import { settle } from "../src/config/settle.ts";
import type { PartialConfig, TrainConfig } from "../src/config/train-config.ts";
import { addConfigFlags, configFromFlags, withSwitches } from "../src/flags.ts";
import { emptyFolder } from "./run-ft.ts";

const needed = { model: "m", data: "d", out: "o" };
const resolved = (file: PartialConfig, flags: PartialConfig = {}): TrainConfig =>
  resolveConfig({ ...needed, ...file }, flags);
const settled = (file: PartialConfig): TrainConfig => settle(resolved(file), { context: 128 });
const parsed = (file: object): PartialConfig => parseConfig(file, "run.yaml");

describe("checkpointing", () => {
  it("is true, false or offload in a file", () => {
    for (const checkpointing of [true, false, "offload"] as const)
      expect(parsed({ checkpointing })).toEqual({ checkpointing });
    expect(() => parsed({ gradient_checkpointing: "off" })).toThrow(
      /run\.yaml: checkpointing is none of true, false, "offload"/,
    );
  });

  it.each<[string[], boolean | "offload"]>([
    [["--checkpointing"], true],
    [["--checkpointing", "run.yaml"], true],
    [["--checkpointing", "--seed", "1"], true],
    [["--checkpointing", "true"], true],
    [["--checkpointing", "false"], false],
    [["--checkpointing", "offload"], "offload"],
    [["--no-checkpointing"], false],
  ])("is of %j %j", (args, want) => {
    const command = new Command().argument("[config]");
    addConfigFlags(command);
    command.parse(withSwitches(args), { from: "user" });
    expect(configFromFlags(command).checkpointing).toBe(want);
    expect(command.args).toEqual(args.includes("run.yaml") ? ["run.yaml"] : []);
  });
});

describe("method qlora", () => {
  it("is NF4 in blocks of 64, double quantisation, adamw8bit and checkpointing, unless it is told otherwise", () => {
    expect(settled({ method: "qlora" })).toMatchObject({
      method: "qlora",
      quantization: { type: "nf4", doubleQuant: true, blockSize: 64, computeDtype: "f32" },
      optimizer: "adamw8bit",
      checkpointing: true,
      learningRate: 2e-4,
      lora: { r: 8, alpha: 16 },
    });
    const other = settled({
      method: "qlora",
      quantization: { type: "fp4", doubleQuant: false, blockSize: 128 },
      optimizer: "lion",
      checkpointing: false,
    });
    expect(other).toMatchObject({ optimizer: "lion", checkpointing: false });
    expect(other.quantization).toEqual({ type: "fp4", doubleQuant: false, blockSize: 128, computeDtype: "f32" });
    expect(settled({ method: "qlora", quantization: { type: "int8" } }).quantization).toEqual({
      type: "int8",
      computeDtype: "f32",
    });
  });

  it.each<PartialConfig>([{ method: "lora" }, {}])("is what %j with quantization is", (given) => {
    expect(settled({ ...given, quantization: { type: "nf4" } })).toEqual(settled({ method: "qlora" }));
  });

  it("leaves lora and full as they are", () => {
    for (const method of ["lora", "full"] as const)
      expect(settled({ method })).toMatchObject({ optimizer: "adamw", checkpointing: false });
    expect(settled({ method: "lora" })).not.toHaveProperty("quantization");
  });

  it("takes flags over the file, key by key", () => {
    const { quantization } = resolved(
      { quantization: { type: "fp4", blockSize: 128 } },
      { quantization: { blockSize: 256 } },
    );
    expect(quantization).toEqual({ type: "fp4", blockSize: 256 });
  });

  it("computes products in computeDtype", () => {
    expect(resolved({ quantization: { computeDtype: "bf16" } }).compute).toBe("bf16");
    expect(resolved({ method: "qlora", compute: "bf16" }).compute).toBe("bf16");
    expect(settled({ method: "qlora", compute: "bf16" }).quantization).toMatchObject({ computeDtype: "bf16" });
  });

  it("keeps what a folder is quantised with, and refuses another", () => {
    const stored = { type: "fp4", doubleQuant: false, blockSize: 128 } as const;
    const of = (quantization: PartialConfig["quantization"]): TrainConfig =>
      settle(resolved({ method: "qlora", quantization }), { context: 128, stored });
    expect(of({}).quantization).toEqual({ ...stored, computeDtype: "f32" });
    expect(of(stored).quantization).toEqual({ ...stored, computeDtype: "f32" });
    expect(() => of({ type: "nf4" })).toThrow(/quantization\.type is nf4, but m is quantised already, with fp4/);
    expect(() => of({ blockSize: 64 })).toThrow(/quantization\.blockSize is 64, but .* with 128/);
  });
});

describe("refusals", () => {
  it.each<[PartialConfig, RegExp]>([
    [{ method: "full", quantization: {} }, /method full, which trains every weight; use method qlora/],
    [{ quantization: { blockSize: 48 } }, /quantization\.blockSize is 48; use one of 32, 64, .*4096/],
    [{ quantization: { blockSize: 8192 } }, /quantization\.blockSize is 8192/],
    [{ quantization: { type: "int8", blockSize: 64 } }, /quantization\.blockSize is given with type int8/],
    [{ quantization: { type: "int8", doubleQuant: false } }, /quantization\.doubleQuant is given with type int8/],
    [{ quantization: { computeDtype: "f16" } }, /computeDtype is f16.*; use f32, or bf16/],
    [{ quantization: { computeDtype: "f32" }, compute: "bf16" }, /computeDtype is f32, compute bf16/],
    [{ method: "lora", weightDtype: "bf16" }, /weightDtype is bf16 with method lora, whose adapters train in f32/],
    [{ optimizerFolder: "x" }, /optimizerFolder is given, optimizerPlacement is device/],
  ])("%j", (given, message) => {
    expect(() => resolved(given)).toThrow(message);
  });

  it("of nested keys name the group and suggest from it", () => {
    expect(() => parsed({ quantization: { blocksize: 64 } })).toThrow(
      /unknown key "quantization\.blocksize"; did you mean "blockSize"/,
    );
    expect(() => parsed({ quantization: { type: "nf3" } })).toThrow(/quantization\.type/);
    expect(() => parsed({ quantization: "nf4" })).toThrow(/quantization/);
  });

  it("take every block size that bitsandbytes has", () => {
    for (const blockSize of [32, 64, 128, 256, 512, 1024, 2048, 4096])
      expect(resolved({ quantization: { blockSize } }).method).toBe("qlora");
  });
});

describe("names of transformers", () => {
  it("of quantisation", () => {
    const yaml = {
      load_in_4bit: true,
      bnb_4bit_quant_type: "fp4",
      bnb_4bit_use_double_quant: false,
      bnb_4bit_compute_dtype: "bfloat16",
    };
    expect(parsed(yaml)).toEqual({ quantization: { type: "fp4", doubleQuant: false, computeDtype: "bf16" } });
    expect(parsed({ load_in_4bit: true })).toEqual({ quantization: {} });
    expect(parsed({ load_in_8bit: true })).toEqual({ quantization: { type: "int8" } });
    expect(parsed({ bnb_4bit_compute_dtype: "torch.float16" })).toEqual({ quantization: { computeDtype: "f16" } });
    expect(parsed({ load_in_4bit: false, bnb_4bit_quant_type: "nf4" })).toEqual({});
    expect(() => parsed({ load_in_4bit: "yes" })).toThrow(/quantization\.type/);
    expect(() => parsed({ bnb_4bit_compute_dtype: "int8" })).toThrow(/quantization\.computeDtype/);
  });

  it.each([
    ["adamw_torch", { optimizer: "adamw" }],
    ["adamw_8bit", { optimizer: "adamw8bit" }],
    ["adamw_bnb_8bit", { optimizer: "adamw8bit" }],
    ["paged_adamw_8bit", { optimizer: "adamw8bit", optimizerPlacement: "host" }],
    ["paged_adamw_32bit", { optimizer: "adamw", optimizerPlacement: "host" }],
    ["lion_8bit", { optimizer: "lion8bit" }],
    ["rmsprop_bnb_8bit", { optimizer: "rmsprop8bit" }],
    ["sgd", { optimizer: "sgd" }],
  ])("of the optimizer %s", (optim, want) => {
    expect(parsed({ optim })).toEqual(want);
  });

  it("do not say twice what is said already", () => {
    expect(() => parsed({ optim: "paged_adamw_8bit", optimizerPlacement: "device" })).toThrow(
      /gives optimizerPlacement twice/,
    );
    expect(() => parsed({ bnb_4bit_quant_type: "nf4", quantization: { type: "fp4" } })).toThrow(
      /gives quantization\.type twice/,
    );
  });
});

it("gives every key of a group a flag", () => {
  const flags = flagSpecs().map(({ flag }) => flag);
  for (const flag of ["type", "double-quant", "block-size", "compute-dtype"])
    expect(flags).toContain(`--quantization-${flag}`);
  expect(flags).toEqual(expect.arrayContaining(["--lora-r", "--min8bit-size", "--optimizer-placement"]));
  expect(new Set(flags).size).toBe(flags.length);
});

it("reads paths in a file relative to it", async () => {
  const folder = await emptyFolder();
  const file = join(folder, "run.yaml");
  await writeFile(file, "deepspeed: ds.json\noptimizerFolder: swap\n");
  expect(await readConfigFile(file)).toEqual({
    deepspeed: join(folder, "ds.json"),
    optimizerFolder: join(folder, "swap"),
  });
});
