import { createHash } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { applyLora, loadAdapter, saveAdapter } from "@ft/lora";
import { loadModel, loadModelFrom } from "@ft/models";
import { bitsandbytesFormat } from "@ft/quant-nf4";
import type { Backend } from "@ft/tensor";
import { expectClose } from "@ft/testing";
import { openSafetensors, openWeights, writeSafetensors } from "@ft/weights";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goldenBatch, goldenJson, goldenTensors, realLogits } from "../../models/test/goldens.ts";
import { asWeights, exportSafetensors, logitKl, openExportSource } from "../src/index.ts";

const goldens = fileURLToPath(new URL("../../../tools/goldens/data/", import.meta.url));
const base = join(goldens, "llama-gqa");
const prompts = [
  [1, 5, 9, 33, 2, 71],
  [4, 4, 90, 12],
];

let backend: Backend;
let dir: string;
beforeAll(async () => {
  backend = await createCpuBackend();
  dir = await mkdtemp(join(tmpdir(), "ft-merge-"));
});
afterAll(async () => {
  backend.dispose?.();
  await rm(dir, { recursive: true, force: true });
});

/** A copy of the base with changed weights. */
async function rewritten(as: string, change: (name: string, data: Float32Array) => void): Promise<string> {
  const folder = join(dir, as);
  await cp(base, folder, { recursive: true });
  await using own = await openSafetensors(join(base, "model.safetensors"));
  const entries = await Promise.all(
    [...own.tensors].map(async ([name, { shape }]) => {
      const data = await own.read(name, "f32");
      change(name, data);
      return { name, dtype: "f32" as const, shape, data: () => data };
    }),
  );
  await writeSafetensors(join(folder, "model.safetensors"), entries);
  return folder;
}

async function digests(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).sort();
  return Promise.all(
    names.map(
      async (name) =>
        `${name} ${createHash("sha256")
          .update(await readFile(join(folder, name)))
          .digest("hex")}`,
    ),
  );
}

describe("exportSafetensors", () => {
  it("merges an adapter into weights that equal PEFT's to the last bits", async () => {
    await using source = await openExportSource(base, { backend, adapter: join(base, "adapter") });
    const out = join(dir, "merged");
    const made = await exportSafetensors(source, out, { dtype: "f32" });
    expect(made.files).toEqual(["model.safetensors"]);
    await using merged = await openSafetensors(join(out, "model.safetensors"));
    await using golden = await openSafetensors(join(base, "golden.safetensors"));
    const names = [...golden.tensors.keys()].filter((name) => name.startsWith("merged."));
    expect(names.length).toBeGreaterThan(10);
    for (const name of names) {
      const want = await golden.read(name, "f32");
      const got = await merged.read(name.slice("merged.".length), "f32");
      expect(got.length).toBe(want.length);
      // sums of 4 products in another order: one unit in the last place of numbers below 4
      for (const [i, value] of want.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(5e-7);
    }
  });

  it("gives logits of base and adapter, in the same bytes every time", async () => {
    await using source = await openExportSource(base, { backend, adapter: join(base, "adapter") });
    const [one, two] = [join(dir, "one"), join(dir, "two")];
    await exportSafetensors(source, one);
    await exportSafetensors(source, two);
    expect(await digests(two)).toEqual(await digests(one));
    using reference = await loadModel(base, { backend });
    await loadAdapter(reference, join(base, "adapter"));
    using merged = await loadModel(one, { backend });
    const { maxKl, sameTop1 } = await logitKl(reference, merged, prompts);
    // both in f32; KL goes with the square of what rounding moves
    expect(maxKl).toBeLessThan(1e-9);
    expect(sameTop1).toBe(1);
  });

  it("shards, and rounds once to 16 bits", async () => {
    await using source = await openExportSource(base, { backend });
    const out = join(dir, "sharded");
    const { files, bytes } = await exportSafetensors(source, out, { dtype: "bf16", shardSize: 9_000 });
    expect(files.length).toBeGreaterThan(3);
    await using sharded = await openWeights(out);
    await using own = await openWeights(base);
    let total = 0;
    for (const [name, { size }] of own.tensors) {
      expect(await sharded.read(name, "bf16")).toEqual(await own.read(name, "bf16"));
      total += 2 * size;
    }
    expect(bytes).toBe(total);
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).toMatchObject({ dtype: "bfloat16" });
  });

  it("puts the rows of a GGUF file in Hugging Face's order", async () => {
    const gguf = join(goldens, "llama-gguf", "gqa.gguf");
    await using source = await openExportSource(gguf, { backend });
    const { weights, facts } = asWeights(source);
    using view = await loadModelFrom(weights, facts, { backend });
    using direct = await loadModel(gguf, { backend });
    expect((await logitKl(direct, view, prompts)).maxKl).toBe(0);
    const out = join(dir, "from-gguf");
    await exportSafetensors(source, out);
    using written = await loadModel(out, { backend });
    expect((await logitKl(direct, written, prompts)).maxKl).toBe(0);
  });

  it("finds Llama 3's rotary scaling of a GGUF file, and writes it into the config", async () => {
    const gguf = join(goldens, "llama-gguf", "llama3-rope.gguf");
    await using source = await openExportSource(gguf, { backend });
    const out = join(dir, "llama3-from-gguf");
    await exportSafetensors(source, out);
    const read = async (folder: string) => JSON.parse(await readFile(join(folder, "config.json"), "utf8"));
    const [written, own] = [await read(out), await read(join(goldens, "llama-llama3-rope"))];
    expect(written.rope_parameters).toEqual(own.rope_parameters);
    expect(written.rope_scaling).toEqual((({ rope_theta: _, ...rest }) => rest)(own.rope_parameters));
    using model = await loadModel(out, { backend });
    using direct = await loadModel(gguf, { backend });
    expect((await logitKl(direct, model, prompts)).maxKl).toBe(0);
    const { packed } = goldenJson("llama-llama3-rope");
    const [found, want] = [await realLogits(model, goldenBatch(packed)), await goldenTensors("llama-llama3-rope")];
    const bound = { relative: 1e-4, reason: "float32 on both sides, sums in another order" };
    expectClose(found, want.get("logits")!, bound, "logits of transformers");
  });

  it("refuses a GGUF file with divisors that no config has, which is loaded with them all the same", async () => {
    const file = join(goldens, "llama-gguf", "llama3-rope.gguf");
    await using source = await openWeights(file);
    const divisors = Buffer.from((await source.read("rope_freqs.weight", "f32")).buffer);
    const bytes = await readFile(file);
    const at = bytes.indexOf(divisors);
    expect(bytes.indexOf(divisors, at + 1)).toBe(-1);
    for (let i = 0; i < divisors.length; i += 4) bytes.writeFloatLE(2, at + i);
    const changed = join(dir, "other-scaling.gguf");
    await writeFile(changed, bytes);
    await expect(openExportSource(changed, { backend })).rejects.toThrow(/rope_freqs\.weight.*Hugging Face folder/);
    // half of every frequency is what linear scaling by 2 is
    const linear = join(dir, "linear");
    const own = join(goldens, "llama-llama3-rope");
    await cp(own, linear, { recursive: true });
    const config = JSON.parse(await readFile(join(own, "config.json"), "utf8"));
    const rope_parameters = { rope_type: "linear", factor: 2, rope_theta: config.rope_parameters.rope_theta };
    await writeFile(join(linear, "config.json"), JSON.stringify({ ...config, rope_parameters }));
    using found = await loadModel(changed, { backend });
    using wanted = await loadModel(linear, { backend });
    using usual = await loadModel(own, { backend });
    expect((await logitKl(wanted, found, prompts)).maxKl).toBeLessThan(1e-9);
    expect((await logitKl(usual, found, prompts)).maxKl).toBeGreaterThan(1e-3);
  });

  it("decodes what was quantised, and merges into that", async () => {
    const through = bitsandbytesFormat();
    await using source = await openExportSource(base, { backend, adapter: join(base, "adapter"), through });
    const out = join(dir, "through-nf4");
    await exportSafetensors(source, out, { dtype: "f32" });
    using reference = await loadModel(base, { backend, format: bitsandbytesFormat() });
    await loadAdapter(reference, join(base, "adapter"));
    using merged = await loadModel(out, { backend });
    expect((await logitKl(reference, merged, prompts)).maxKl).toBeLessThan(1e-9);
    // and that is another model than the one merged into the original
    using original = await loadModel(join(dir, "merged"), { backend });
    expect((await logitKl(reference, original, prompts)).maxKl).toBeGreaterThan(1e-5);
  });

  it("says nothing of the former quantisation of what it decoded", async () => {
    await using source = await openExportSource(join(goldens, "bnb-llama", "nf4"), { backend });
    expect(source.hfConfig.quantization_config).toBeDefined();
    const out = join(dir, "decoded");
    await exportSafetensors(source, out);
    expect(JSON.parse(await readFile(join(out, "config.json"), "utf8"))).not.toHaveProperty("quantization_config");
    using decoded = await loadModel(out, { backend });
    using quantized = await loadModel(join(goldens, "bnb-llama", "nf4"), { backend, format: bitsandbytesFormat() });
    expect((await logitKl(quantized, decoded, prompts)).maxKl).toBeLessThan(1e-9);
  });

  it("refuses a folder that is there, and weights that are not finite, and leaves nothing behind", async () => {
    const broken = await rewritten("broken", (name, data) => {
      if (name.includes("layers.1.mlp.up_proj")) data[7] = Number.NaN;
    });
    await using source = await openExportSource(broken, { backend, adapter: join(base, "adapter") });
    await expect(exportSafetensors(source, join(dir, "never"))).rejects.toThrow(
      /layers\.1\.mlp\.up_proj\.weight is NaN/,
    );
    await expect(exportSafetensors(source, broken)).rejects.toMatchObject({ code: "exists" });
    expect((await readdir(dir)).filter((name) => name.includes("never"))).toEqual([]);
  });
});

const cases = ["llama-gqa", "llama-mha-tied", "llama-llama3-rope", "llama-linear-rope", "llama-bias"];
const adapters = cases.flatMap((name) => [
  [name, "adapter", "lora"] as const,
  ...Object.keys(goldenJson(name).variants ?? {}).map((variant) => [name, `adapter-${variant}`, variant] as const),
]);

describe.each(adapters)("the folder of %s with %s merged", (name, adapter, golden) => {
  it("has the logits that PEFT computes with base and adapter", async () => {
    await using source = await openExportSource(join(goldens, name), {
      backend,
      adapter: join(goldens, name, adapter),
    });
    const out = join(dir, `${name}-${golden}`);
    await exportSafetensors(source, out, { dtype: "f32", shardSize: 20_000 });
    using merged = await loadModel(out, { backend });
    const [found, want] = [await realLogits(merged, goldenBatch(goldenJson(name).padded)), await goldenTensors(name)];
    const wanted = want.get(`${golden}.logits`)!;
    expect(found.length).toBe(wanted.length);
    expect(found.reduce((most, x, i) => Math.max(most, Math.abs(x - wanted[i]!)), 0)).toBeLessThan(1e-4);
  });
});

describe("exportSafetensors in f16", () => {
  it("refuses a weight that f16 cannot hold, and leaves nothing behind", async () => {
    const large = await rewritten("large", (name, data) => {
      if (name === "model.embed_tokens.weight") data[3] = 70_000;
    });
    await using source = await openExportSource(large, { backend });
    const wrong = exportSafetensors(source, join(dir, "halved"), { dtype: "f16" });
    await expect(wrong).rejects.toThrow(/embed_tokens\.weight holds 70000, which f16 cannot; write bf16 or f32/);
    expect((await readdir(dir)).filter((name) => name.includes("halved"))).toEqual([]);
  });
});

describe("an adapter of another base", () => {
  it("is refused by the base's fingerprint, which quantising leaves alone", async () => {
    using model = await loadModel(base, { backend, format: bitsandbytesFormat() });
    const adapter = applyLora(model, { r: 2 });
    const folder = join(dir, "own-adapter");
    await saveAdapter(adapter, folder, "some/base");
    await using right = await openExportSource(base, { backend, adapter: folder });
    expect(right.tensors.size).toBeGreaterThan(10);
    const other = await rewritten("other", (name, data) => {
      if (name === "model.norm.weight") data[0]! += 0.5;
    });
    const wrong = openExportSource(other, { backend, adapter: folder });
    await expect(wrong).rejects.toThrow(/trained over another base.*some\/base/);
    await using forced = await openExportSource(other, { backend, adapter: folder, anyBase: true });
    expect(forced.config.layers).toBe(2);
  });
});
