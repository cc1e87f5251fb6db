import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { expectRefusal, setup } from "./refusal.ts";
import { ft } from "./run-ft.ts";

const gguf = new URL("../../../tools/goldens/data/llama-gguf/gqa.gguf", import.meta.url).pathname;

/** A run of a few steps over a tiny model. */
async function trained(...more: readonly string[]) {
  const at = await setup();
  const args = ["train", "--model", at.model, "--data", at.data, "--out", at.out, "--max-steps", "3", ...more];
  const { code, err } = await ft(...args, "--batch-size", "4", "--learning-rate", "0.05");
  expect(err).not.toMatch(/error/);
  expect(code).toBe(0);
  return at;
}

/** Merges the adapter of a run. */
function merge({ model, out }: { readonly model: string; readonly out: string }, into: string, ...more: string[]) {
  return ft("merge", "--model", model, "--adapter", out, "--out", into, "--json", ...more);
}

describe("ft merge", () => {
  it("writes a folder that answers as base and adapter do, with a card that says so", async () => {
    const { folder, model, out } = await trained();
    const merged = join(folder, "merged");
    const ran = await merge({ model, out }, merged, "--shard-size", "20kB");
    expect(ran.code, ran.err).toBe(0);
    const { check, files } = JSON.parse(ran.out);
    expect(files.length).toBeGreaterThan(1);
    expect(check.maxKl).toBeLessThan(1e-8);
    expect(check.sameTop1).toBe(1);
    const ask = ["generate", "--prompt", "hello", "--max-new-tokens", "12", "--json"];
    const own = await ft(...ask, "--model", model, "--adapter", out);
    const theirs = await ft(...ask, "--model", merged);
    expect(JSON.parse(theirs.out).text).toBe(JSON.parse(own.out).text);
    const card = await readFile(join(merged, "README.md"), "utf8");
    expect(card).toMatch(/^---\n/);
    expect(card).toContain("against base and adapter: KL");
    expect(card).toContain("| data | rows.json |");
    expect(card).not.toContain(folder);
    expect(await readdir(merged)).toEqual(expect.arrayContaining(["config.json", "tokenizer.json", "manifest.json"]));
  });

  it("measures both bases of a QLoRA adapter, and merges into the one asked for", async () => {
    const { folder, model, out } = await trained("--method", "qlora");
    const into = async (base: string) => {
      const ran = await merge({ model, out }, join(folder, base), "--base", base);
      expect(ran.code, ran.err).toBe(0);
      return JSON.parse(ran.out);
    };
    const [stored, quantized] = [await into("stored"), await into("quantized")];
    expect(stored.other.base).toBe("quantized");
    expect(quantized.check.maxKl).toBeLessThan(1e-8);
    expect(stored.check.meanKl).toBeGreaterThan(10 * quantized.check.meanKl);
    // each measured in memory by the one and in its folder by the other
    expect(stored.other.kl.meanKl).toBeCloseTo(quantized.check.meanKl, 9);
    expect(quantized.other.kl.meanKl).toBeCloseTo(stored.check.meanKl, 9);
  });

  it("refuses an adapter of another base, which it names", async () => {
    const { model, out } = await trained();
    const other = await trained();
    const file = join(other.model, "model.safetensors");
    const bytes = await readFile(file);
    bytes[bytes.length - 1]! ^= 1; // the last tensor is a norm or not; so flip in every one
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
    bytes[8 + length + header["model.norm.weight"].data_offsets[0] + 2]! ^= 1;
    await writeFile(file, bytes);
    const at = join(other.folder, "never");
    const ran = await ft("merge", "--model", other.model, "--adapter", out, "--out", at);
    expectRefusal(ran, /trained over another base[\s\S]*use it with/, at);
    expect(ran.err).toContain(model);
  });
});

it("says that an adapter is no model", async () => {
  const { folder, out } = await trained();
  const at = join(folder, "never");
  const ran = await ft("export", "--to", "vllm", "--model", join(out, "adapter"), "--out", at);
  expectRefusal(ran, /is an adapter, not a model\n {2}name its base with --model/, at);
});

describe("ft export", () => {
  it("quantises as bitsandbytes does, checks what it wrote and says so in its card", async () => {
    const { folder, model, out } = await trained();
    const into = join(folder, "nf4");
    const ran = await ft("export", "--to", "bnb", "--model", model, "--adapter", out, "--out", into, "--json");
    expect(ran.code, ran.err).toBe(0);
    const { check, layers } = JSON.parse(ran.out);
    expect(layers).toBe(14);
    expect(check.meanKl).toBeGreaterThan(1e-8);
    expect(check.meanKl).toBeLessThan(1);
    const card = await readFile(join(into, "README.md"), "utf8");
    expect(card).toContain("bitsandbytes, nf4, adapter merged. Base: model.");
    expect(card).toContain("tokens and template: the same");
  });

  it("takes a GGUF file to a folder, tokenizer included", async () => {
    const { folder } = await setup();
    const out = join(folder, "from-gguf");
    const ran = await ft("export", "--to", "vllm", "--model", gguf, "--out", out, "--no-check");
    // the file has no tokenizer, and says so
    expectRefusal(ran, /tokenizer\.ggml\.model is missing/, out);
  });

  it("prints the command that serves the folder", async () => {
    const { folder, model } = await setup();
    const out = join(folder, "served");
    const ran = await ft("export", "--to", "vllm", "--model", model, "--out", out);
    expect(ran.code, ran.err).toBe(0);
    expect(ran.out).toContain(`vllm serve ${out}`);
  });

  it("refuses what it cannot do before it begins", async () => {
    const { folder, model } = await setup();
    const out = join(folder, "out");
    const run = (...more: string[]) => ft("export", "--model", model, "--out", out, ...more);
    expectRefusal(await run("--to", "safetensor"), /did you mean safetensors\?/, out);
    expectRefusal(await run("--to", "bnb", "--type", "q4"), /--type q4 is none of bnb's/, out);
    expectRefusal(
      await run("--to", "safetensors", "--base", "quantized"),
      /nothing says how the base was quantised/,
      out,
    );
    expectRefusal(await run("--to", "safetensors", "--adapter", join(folder, "none")), /cannot .*none/, out);
    expectRefusal(await run("--to", "safetensors", "--shard-size", "2"), /give a unit/, out);
    for (const [to, flag, ...value] of [
      ["gguf", "--dtype", "bf16"],
      ["gguf", "--shard-size", "1GB"],
      ["onnx", "--group-size", "64"],
      ["bnb", "--data", "rows.json"],
      ["safetensors", "--no-double-quant"],
      ["lora-gguf", "--base", "quantized"],
    ] as const) {
      const shown = [flag, ...value].join(" ");
      expectRefusal(await run("--to", to, flag, ...value), new RegExp(`${shown} is given with --to ${to}`), out);
    }
    expectRefusal(await run("--to", "safetensors", "--shard-size", "abc"), /--shard-size "abc"/, out);
    const taken = await ft("export", "--to", "safetensors", "--model", model, "--out", model);
    expect(taken.err).toMatch(/exists already/);
    expect(taken.code).toBe(2);
  });
});
