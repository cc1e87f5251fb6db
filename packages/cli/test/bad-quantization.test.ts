import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import type { DataOf, DType } from "@ft/tensor";
import { openSafetensors, writeSafetensors } from "@ft/weights";
import { describe, expect, it } from "vitest";
import { expectRefusal, type Setup, setup } from "./refusal.ts";
import { ft, type Ran } from "./run-ft.ts";

const train = ({ model, data, out }: Setup, ...more: string[]): Promise<Ran> =>
  ft("train", "--model", model, "--data", data, "--out", out, "--max-steps", "2", "--batch-size", "4", ...more);

const bf16 = await createCpuBackend({ compute: "bf16" }).then(
  () => true,
  () => false,
);

describe("ft train refuses", () => {
  it.each<[string, RegExp]>([
    ["--method qlora --quantization-block-size 100", /quantization\.blockSize is 100\n {2}use one of 32, 64/],
    ["--method qlora --quantization-block-size 16", /quantization\.blockSize is 16/],
    ["--method qlora --quantization-block-size 6.5", /quantization\.blockSize/],
    ["--method qlora --quantization-type nf3", /'nf3' is invalid.*nf4, fp4, int8/],
    ["--method qlora --quantization-compute-dtype f16", /computeDtype is f16.*\n {2}use f32, or bf16/],
    ["--method qlora --quantization-compute-dtype bf16 --compute f32", /computeDtype is bf16, compute f32/],
    ["--method full --quantization-type nf4", /quantization is given with method full/],
    ["--method lora --weight-dtype bf16", /weightDtype is bf16 with method lora/],
    ["--optimizer adamw9bit", /there is no optimizer "adamw9bit"\n {2}use one of .*adamw8bit/],
    ["--optimizer constructor", /there is no optimizer "constructor"/],
    ["--optimizer adamw --momentum 0.9", /adamw has no setting "momentum"/],
    ["--optimizer sgd --beta1 0.9", /sgd has no setting "beta1"/],
    ["--optimizer lion8bit --eps 1e-8", /lion8bit has no setting "eps"/],
    ["--optimizer adamw --min8bit-size 0", /min8bitSize is given, the optimizer is adamw, whose state has 32 bits/],
    ["--optimizer adamw --rmsprop-alpha 0.9", /rmspropAlpha is given, the optimizer is adamw/],
    ["--optimizer-folder x", /optimizerFolder is given, optimizerPlacement is device/],
  ])("%s", async (flags, message) => {
    const at = await setup();
    expectRefusal(await train(at, ...flags.split(" ")), message, at.out);
  });

  it.skipIf(bf16)("products in bf16 on a processor without them", async () => {
    const at = await setup();
    const ran = await train(at, "--method", "qlora", "--quantization-compute-dtype", "bf16");
    expectRefusal(ran, /bf16.*has no bf16 products\n.*f32/, at.out);
  });

  it("weights that are not finite, by name", async () => {
    const at = await setup();
    const file = join(at.model, "model.safetensors");
    await rewrite(file, (entry) => {
      if (entry.name !== "model.layers.1.mlp.down_proj.weight") return [entry];
      entry.data[700] = Number.NaN;
      return [entry];
    });
    expectRefusal(await train(at, "--method", "qlora"), /model\.layers\.1\.mlp\.down_proj\.weight.*NaN/, at.out);
    const exported = join(at.folder, "exported");
    const ran = await ft("export", "--to", "bnb", "--model", at.model, "--out", exported);
    expectRefusal(ran, /model\.layers\.1\.mlp\.down_proj\.weight.*NaN/, exported);
  });
});

describe("a quantised folder is refused", () => {
  async function exported(type: string): Promise<Setup> {
    const at = await setup();
    const model = join(at.folder, "exported");
    const { code } = await ft("export", "--to", "bnb", "--model", at.model, "--out", model, "--type", type);
    expect(code).toBe(0);
    return { ...at, model };
  }
  const weight = "model.layers.0.self_attn.q_proj.weight";
  const half = (entry: Stored): Stored => {
    const data = entry.data.slice(0, (entry.shape[0] ?? 0) >> 1);
    return { ...entry, shape: [data.length], data };
  };

  it.each([
    ["nf4", `${weight}.absmax`],
    ["nf4", `${weight}.nested_absmax`],
    ["nf4", `${weight}.quant_state.bitsandbytes__nf4`],
    ["int8", "model.layers.0.self_attn.q_proj.SCB"],
  ])("as %s without %s", async (type, name) => {
    const at = await exported(type);
    await rewrite(join(at.model, "model.safetensors"), (entry) => (entry.name === name ? [] : [entry]));
    const message = new RegExp(`"${escaped(name)}" of .*model\\.safetensors is missing`);
    expectRefusal(await train(at), message, at.out);
    expectRefusal(await ft("generate", "--model", at.model, "--prompt", "a"), message, at.out);
  });

  it.each([
    ["nf4", `${weight}.absmax`],
    ["nf4", weight],
    ["int8", "model.layers.0.self_attn.q_proj.SCB"],
  ])("as %s with %s half as long", async (type, name) => {
    const at = await exported(type);
    await rewrite(join(at.model, "model.safetensors"), (entry) => [entry.name === name ? half(entry) : entry]);
    const message = new RegExp(
      `"${escaped(name)}" of .*model\\.safetensors (is|has) .*\n.*(should have|this shape has) \\d+`,
    );
    expectRefusal(await train(at), message, at.out);
  });

  it("for method full, and for an export", async () => {
    const at = await exported("nf4");
    expectRefusal(await train(at, "--method", "full"), /method full trains every weight, and .* is quantised/, at.out);
    const again = join(at.folder, "again");
    const ran = await ft("export", "--to", "bnb", "--model", at.model, "--out", again);
    expectRefusal(ran, /is quantised already/, again);
  });

  it("for another quantisation than it has", async () => {
    const at = await exported("nf4");
    expectRefusal(
      await train(at, "--method", "qlora", "--quantization-block-size", "128"),
      /quantization\.blockSize is 128, but .* is quantised already, with 64/,
      at.out,
    );
  });

  it("where its quantisation is of another kind", async () => {
    const at = await exported("nf4");
    const file = join(at.model, "config.json");
    const json = JSON.parse(await readFile(file, "utf8"));
    await writeFile(file, JSON.stringify({ ...json, quantization_config: { quant_method: "gptq", bits: 4 } }));
    expectRefusal(await train(at), /quant_method "gptq"/, at.out);
  });
});

describe("ft export refuses", () => {
  it.each<[string, RegExp]>([
    ["--to pickle", /there is no export to "pickle"\n {2}use --to safetensors, /],
    ["--to bnb --block-size 100", /blockSize is 100\n {2}use one of 32/],
    ["--to bnb --type int8 --block-size 64", /blockSize is given with type int8/],
    ["--to bnb --type int8 --no-double-quant", /--no-double-quant is given with type int8/],
    ["--to bnb --type nf2", /--type nf2 is none of bnb.s/],
  ])("%s", async (flags, message) => {
    const { model, folder } = await setup();
    const out = join(folder, "exported");
    expectRefusal(await ft("export", "--model", model, "--out", out, ...flags.split(" ")), message, out);
  });

  it("a folder that holds something", async () => {
    const { model, data } = await setup();
    const { code, err } = await ft("export", "--to", "bnb", "--model", model, "--out", model);
    expect([code, err]).toEqual([2, expect.stringMatching(/model exists already/)]);
    const onFile = await ft("export", "--to", "bnb", "--model", model, "--out", data);
    expect([onFile.code, onFile.err]).toEqual([2, expect.stringMatching(/rows\.json exists already/)]);
  });
});

function escaped(text: string): string {
  return text.replaceAll(".", "\\.");
}

interface Stored {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: DataOf[DType];
}

/** Writes a file of weights again, each tensor as `change` gives it. */
async function rewrite(file: string, change: (entry: Stored) => readonly Stored[]): Promise<void> {
  const source = await openSafetensors(file);
  const entries: Stored[] = [];
  for (const [name, { host, shape }] of source.tensors)
    entries.push(...change({ name, dtype: host!, shape, data: await source.read(name, host!) }));
  await source.close();
  await writeSafetensors(
    file,
    entries.map(({ data, ...entry }) => ({ ...entry, data: () => data })),
  );
}
