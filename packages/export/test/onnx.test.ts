import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { parameterShapes } from "@ft/models";
import type { Backend } from "@ft/tensor";
import { verifyFolder } from "@ft/weights";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ExportSource, exportOnnx, type OnnxType, onnxTypes, openExportSource } from "../src/index.ts";
import { memorySource } from "./memory-source.ts";

const base = fileURLToPath(new URL("../../../tools/goldens/data/llama-gqa", import.meta.url));
const quickstart = fileURLToPath(new URL("../../../examples/quickstart/model", import.meta.url));

let backend: Backend;
let dir: string;
beforeAll(async () => {
  backend = await createCpuBackend();
  dir = await mkdtemp(join(tmpdir(), "ft-onnx-"));
});
afterAll(async () => {
  backend.dispose?.();
  await rm(dir, { recursive: true, force: true });
});

async function json(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(path, "utf8"));
}

describe("exportOnnx", () => {
  it("writes a folder as transformers.js names its files, the same bytes every time", async () => {
    await using source = await openExportSource(quickstart, { backend });
    const seen: string[] = [];
    const { files } = await exportOnnx(source, join(dir, "a"), {
      ...{ types: onnxTypes, backend },
      onTensor: (name, type) => seen.push(`${type} ${name}`),
    });
    const models = ["", "_fp16", "_int8", "_quantized", "_q4", "_q4f16", "_bnb4"].map(
      (suffix) => `onnx/model${suffix}.onnx`,
    );
    expect(files.map(({ name }) => name)).toEqual(models.flatMap((name) => [name, `${name}_data`]));
    for (const { name, bytes } of files) expect((await stat(join(dir, "a", name))).size, name).toBe(bytes);
    expect((await readdir(join(dir, "a"))).sort()).toEqual([
      "config.json",
      "generation_config.json",
      "manifest.json",
      "onnx",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    for (const type of onnxTypes)
      for (const name of source.tensors.keys()) {
        // the head of this model is its embedding, which stays in f16 beside a head of 4 bits
        const twice = name === "model.embed_tokens.weight" && ["q4", "q4f16", "bnb4"].includes(type);
        expect(seen.filter((x) => x === `${type} ${name}`)).toHaveLength(twice ? 2 : 1);
      }
    await exportOnnx(source, join(dir, "b"), { types: onnxTypes, backend });
    expect(await verifyFolder(join(dir, "b"))).toEqual(await verifyFolder(join(dir, "a")));
  });

  it("tells transformers.js how many data files there are, and which model is meant", async () => {
    await using source = await openExportSource(base, { backend });
    const { files } = await exportOnnx(source, join(dir, "shards"), { types: ["fp16", "fp32"], dataFileSize: 40_000 });
    const count = (model: string) => files.filter(({ name }) => name.startsWith(`onnx/${model}_data`)).length;
    expect(count("model.onnx")).toBeGreaterThan(2);
    const config = await json(join(dir, "shards", "config.json"));
    expect(config["transformers.js_config"]).toEqual({
      dtype: "fp16",
      use_external_data_format: { "model_fp16.onnx": count("model_fp16.onnx"), "model.onnx": count("model.onnx") },
      kv_cache_dtype: { fp16: "float16" },
    });
    const before = await json(join(base, "config.json"));
    expect(config.num_hidden_layers).toBe(before.num_hidden_layers);
    const generation = await json(join(dir, "shards", "generation_config.json"));
    expect(generation.eos_token_id).toBe(before.eos_token_id);
  });

  it("refuses types that are unknown, saying what was meant, before it writes", async () => {
    await using source = await openExportSource(base, { backend });
    // as JavaScript may call it
    const with_ = (...types: string[]) => exportOnnx(source, join(dir, "no"), { types: types as OnnxType[] });
    await expect(with_("nf4")).rejects.toThrow(/the type "nf4" is unknown; did you mean "bnb4"\? known: fp32/);
    await expect(with_("fp32", "float16")).rejects.toThrow(/did you mean "fp16"\?/);
    await expect(with_("gguf")).rejects.toThrow(/"gguf" is unknown; known: fp32, fp16, int8, q8, q4, q4f16, bnb4/);
    await expect(with_()).rejects.toMatchObject({ code: "input" });
    await expect(with_("bnb4")).rejects.toMatchObject({ code: "config", hint: "pass options.backend" });
    expect(await readdir(dir)).not.toContain("no");
  });

  it("refuses a folder that is there", async () => {
    await using source = await openExportSource(base, { backend });
    await exportOnnx(source, join(dir, "there"));
    await expect(exportOnnx(source, join(dir, "there"))).rejects.toMatchObject({ code: "exists" });
  });

  it("leaves nothing when reading fails, the disk is full, or it is given up", async () => {
    await using source = await openExportSource(base, { backend });
    const out = join(dir, "half");
    const before = await readdir(dir);
    const last = "model.norm.weight";
    const failing: ExportSource = {
      ...source,
      readWindow: async (name, start, count) => {
        if (name === last) throw Object.assign(new Error("no space"), { code: "ENOSPC", syscall: "write" });
        return source.readWindow(name, start, count);
      },
    };
    await expect(exportOnnx(failing, out)).rejects.toMatchObject({ code: "io" });
    const abort = new AbortController();
    const onTensor = (name: string) => name === last && abort.abort();
    await expect(exportOnnx(source, out, { signal: abort.signal, onTensor })).rejects.toThrow(/abort/);
    expect(await readdir(dir)).toEqual(before);
  });

  it("refuses numbers that f16 cannot hold, by weight", async () => {
    await using opened = await openExportSource(base, { backend });
    const { config, hfConfig } = opened;
    const weights = new Map(
      [...parameterShapes(config)].map(([name, shape]) => {
        const values = new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5);
        if (name === "model.layers.1.mlp.up_proj.weight") values[7] = -65_520;
        return [name, { shape, values }];
      }),
    );
    await using source = memorySource(weights, hfConfig);
    await expect(exportOnnx(source, join(dir, "wide"), { types: ["fp16"] })).rejects.toThrow(
      /layers\.1\.mlp\.up_proj\.weight holds -65520, which f16 cannot; export it as fp32 or int8/,
    );
  });
});
