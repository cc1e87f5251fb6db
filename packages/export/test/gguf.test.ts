import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { loadModel, readCompanions } from "@ft/models";
import type { Backend } from "@ft/tensor";
import { golden as goldenOf } from "@ft/testing";
import { createQuantizer, openGguf, openSafetensors, type Quantizer } from "@ft/weights";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exportGguf, isGgufFileType, logitKl, openExportSource } from "../src/index.ts";
import { type HashedModel, hashedSource } from "./hashed-model.ts";

const goldens = new URL("../../../tools/goldens/data/", import.meta.url);
const quickstart = fileURLToPath(new URL("../../../examples/quickstart/model", import.meta.url));
const tiny = ["gqa", "mha-tied", "llama3-rope", "linear-rope", "bias"];

let backend: Backend;
let quantizer: Quantizer;
let dir: string;
beforeAll(async () => {
  backend = await createCpuBackend();
  quantizer = createQuantizer({ threads: 2 });
  dir = await mkdtemp(join(tmpdir(), "ft-gguf-"));
});
afterAll(async () => {
  backend.dispose?.();
  await quantizer.close();
  await rm(dir, { recursive: true, force: true });
});

interface Quantised {
  readonly cases: readonly {
    readonly model: HashedModel;
    readonly files: Record<string, { readonly types: readonly string[]; readonly sha256: string }>;
  }[];
}

describe("exportGguf against llama.cpp's quantiser", async () => {
  const { cases } = await goldenOf<Quantised>(new URL("gguf-files/quantised.json", goldens));
  const rows = cases.flatMap(({ model, files }) =>
    Object.entries(files).map(([type, expected]) => ({ type, width: model.hidden, model, expected })),
  );
  it.each(rows)("writes the same tensors to the byte: $type, rows of $width", async ({ type, model, expected }) => {
    if (!isGgufFileType(type)) throw new Error(type);
    const path = join(dir, `${model.hidden}.${type}.gguf`);
    const made = await exportGguf(hashedSource(model), path, { type, quantizer, tokenizer: false });
    expect(made.tensors.map(({ name, type }) => `${name} ${type}`)).toEqual(expected.types);
    await using file = await openGguf(path);
    const data = [...file.tensors.values()].reduce((sum, { bytes }) => sum + Math.ceil(bytes / 32) * 32, 0);
    const whole = await readFile(path);
    expect(whole.length).toBe(made.bytes);
    const digest = createHash("sha256")
      .update(whole.subarray(whole.length - data))
      .digest("hex");
    expect(digest).toBe(expected.sha256);
    expect(file.metadata.get("general.name")).toBe("memory");
  });
});

describe("exportGguf", () => {
  it.each(tiny)("gives the same model back, to the bit: %s", async (name) => {
    const folder = fileURLToPath(new URL(`llama-${name}`, goldens));
    await using source = await openExportSource(folder, { backend });
    const path = join(dir, `${name}.gguf`);
    await exportGguf(source, path, { type: "F32", tokenizer: false });
    using one = await loadModel(folder, { backend });
    using other = await loadModel(path, { backend });
    expect(other.config).toEqual({ ...one.config, ...known(one.config) });
    // weights are equal; divisors of frequencies and f32 metadata are rounded to f32
    expect((await logitKl(one, other, [[1, 5, 9, 33, 2, 71, 4, 4, 90, 12]])).maxKl).toBeLessThan(1e-9);
    await using back = await openExportSource(path, { backend });
    expect([...back.tensors.keys()]).toEqual([...source.tensors.keys()]);
    await using original = await openSafetensors(join(folder, "model.safetensors"));
    for (const [tensor, { size }] of original.tensors)
      expect(await back.readWindow(tensor, 0, size), tensor).toEqual(await original.read(tensor, "f32"));
  });

  /** What the file does not say: constants are f32, special tokens come with a tokenizer. */
  function known(config: { ropeTheta: number; rmsNormEps: number }): object {
    return {
      ropeTheta: Math.fround(config.ropeTheta),
      rmsNormEps: Math.fround(config.rmsNormEps),
      bosTokenId: undefined,
      eosTokenIds: [],
    };
  }

  it("writes Llama 3's divisors as llama.cpp's converter does", async () => {
    const folder = fileURLToPath(new URL("llama-llama3-rope", goldens));
    await using source = await openExportSource(folder, { backend });
    const path = join(dir, "rope.gguf");
    await exportGguf(source, path, { type: "F32", tokenizer: false });
    await using ours = await openGguf(path);
    await using theirs = await openGguf(fileURLToPath(new URL("llama-gguf/llama3-rope.gguf", goldens)));
    const [got, want] = [await ours.read("rope_freqs.weight", "f32"), await theirs.read("rope_freqs.weight", "f32")];
    expect(got.length).toBe(want.length);
    // quotients of f32 numbers instead of one formula in f64: two units in the last place
    for (const [i, value] of want.entries()) expect(Math.abs(got[i]! / value - 1)).toBeLessThan(2.5e-7);
    expect(Math.max(...got)).toBeGreaterThan(1);
  });

  it("says what the model is", async () => {
    const path = join(dir, "named.gguf");
    const model: HashedModel = { hidden: 64, ff: 64, layers: 1, heads: 2, kv: 1, vocab: 8, tied: true };
    await exportGguf(hashedSource(model), path, {
      ...{ type: "Q8_0", tokenizer: false, name: "Tiny", license: "apache-2.0", baseModel: "someone/tiny-base" },
    });
    await using file = await openGguf(path);
    const { metadata } = file;
    expect(Object.fromEntries([...metadata].filter(([key]) => !key.startsWith("llama.rope.")))).toMatchObject({
      "general.architecture": "llama",
      "general.type": "model",
      "general.name": "Tiny",
      "general.size_label": "25K",
      "general.license": "apache-2.0",
      "general.base_model.count": 1,
      "general.base_model.0.name": "tiny-base",
      "general.base_model.0.organization": "someone",
      "general.base_model.0.repo_url": "https://huggingface.co/someone/tiny-base",
      "general.quantization_version": 2,
      "general.file_type": 7,
      "llama.block_count": 1,
      "llama.context_length": 64,
      "llama.embedding_length": 64,
      "llama.feed_forward_length": 64,
      "llama.attention.head_count": 2,
      "llama.attention.head_count_kv": 1,
      "llama.attention.key_length": 32,
      "llama.attention.value_length": 32,
      "llama.vocab_size": 8,
    });
  });

  it("refuses what it cannot write, and leaves nothing behind", async () => {
    const model: HashedModel = { hidden: 64, ff: 64, layers: 1, heads: 2, kv: 1, vocab: 8, tied: true };
    const source = hashedSource(model);
    const path = join(dir, "refused.gguf");
    const before = await readdir(dir);
    const wrongType: string = "Q3_K_M";
    await expect(exportGguf(source, path, { type: wrongType as never })).rejects.toMatchObject({ code: "input" });
    await expect(exportGguf(source, path, { type: "F16" })).rejects.toMatchObject({ code: "missing" });
    const holed = {
      ...source,
      readWindow: async (...[, , n]: [string, number, number]) => new Float32Array(n).fill(Number.NaN),
    };
    await expect(exportGguf(holed, path, { type: "Q4_0", tokenizer: false })).rejects.toMatchObject({
      code: "numeric",
    });
    const stop = AbortSignal.abort(new Error("stopped"));
    await expect(exportGguf(source, path, { tokenizer: false, signal: stop })).rejects.toThrow("stopped");
    expect(await readdir(dir)).toEqual(before);
    await writeFile(path, "mine");
    await expect(exportGguf(source, path, { tokenizer: false })).rejects.toMatchObject({ code: "exists" });
    expect(await readFile(path, "utf8")).toBe("mine");
    await rm(path);
  });

  it("leaves a file alone that appears while it writes", async () => {
    const model: HashedModel = { hidden: 64, ff: 64, layers: 1, heads: 2, kv: 1, vocab: 8, tied: true };
    const folder = await mkdtemp(join(dir, "race-"));
    const path = join(folder, "late.gguf");
    const appear = (): void => writeFileSync(path, "mine");
    const made = exportGguf(hashedSource(model), path, { type: "Q8_0", tokenizer: false, onTensor: appear });
    await expect(made).rejects.toMatchObject({ code: "exists" });
    expect(await readFile(path, "utf8")).toBe("mine");
    expect(await readdir(folder)).toEqual(["late.gguf"]);
    await rm(folder, { recursive: true });
  });

  it("says which ends of an answer the file has no place for", async () => {
    const { files } = await readCompanions(quickstart);
    const model: HashedModel = { hidden: 64, ff: 64, layers: 1, heads: 2, kv: 1, vocab: 1536, tied: true };
    const { droppedEndIds } = await exportGguf(
      { ...hashedSource(model, { eos_token_id: [4, 0, 1, 2, 3] }), files },
      join(dir, "ends.gguf"),
      { type: "Q8_0", quantizer },
    );
    expect(droppedEndIds).toEqual([2, 3]);
    const path = join(dir, "no-ends.gguf");
    const without = await exportGguf(hashedSource(model), path, { type: "Q8_0", quantizer, tokenizer: false });
    expect(without.droppedEndIds).toEqual([]);
  });

  it("tells of every tensor, and reads windows of whole rows and heads only", async () => {
    const model: HashedModel = { hidden: 64, ff: 96, layers: 1, heads: 2, kv: 1, vocab: 8, tied: false };
    const source = hashedSource(model);
    const reads: string[] = [];
    const watched = {
      ...source,
      readWindow: (name: string, start: number, count: number) => {
        reads.push(`${name} ${start} ${count}`);
        return source.readWindow(name, start, count);
      },
    };
    const told: string[] = [];
    const { tensors } = await exportGguf(watched, join(dir, "told.gguf"), {
      type: "Q4_K_M",
      tokenizer: false,
      onTensor: (name, type) => told.push(`${name} ${type}`),
    });
    expect(told).toEqual(tensors.map(({ name, type }) => `${name} ${type}`));
    expect(told[0]).toBe("output.weight Q8_0");
    expect(reads.length).toBe(source.tensors.size);
  });
});
