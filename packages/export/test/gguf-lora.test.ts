import { writeFileSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fromPeftConfig, layerScale } from "@ft/lora";
import { ggufName, readHfConfig } from "@ft/models";
import { f16ToF32, f32ToF16 } from "@ft/tensor";
import { openGguf, openSafetensors } from "@ft/weights";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exportLoraGguf } from "../src/index.ts";

const goldens = fileURLToPath(new URL("../../../tools/goldens/data/", import.meta.url));

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "ft-gguf-lora-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("exportLoraGguf", () => {
  it.each(["gqa", "llama3-rope"])("writes what llama.cpp's converter writes: %s", async (name) => {
    const base = join(goldens, `llama-${name}`);
    const path = join(dir, `${name}.gguf`);
    const made = await exportLoraGguf(join(base, "adapter"), await readHfConfig(base), path);
    expect(made).toMatchObject({ layers: 14, alpha: 8 });
    await using ours = await openGguf(path);
    await using theirs = await openGguf(join(goldens, "gguf-lora", `${name}.gguf`));
    for (const key of ["general.architecture", "general.type", "adapter.type", "adapter.lora.alpha"])
      expect(ours.metadata.get(key), key).toBe(theirs.metadata.get(key));
    expect([...ours.tensors.keys()].sort()).toEqual([...theirs.tensors.keys()].sort());
    for (const [tensor, { shape }] of theirs.tensors) {
      expect(ours.tensors.get(tensor)!.shape, tensor).toEqual(shape);
      expect(await ours.read(tensor, "f32"), tensor).toEqual(await theirs.read(tensor, "f32"));
    }
  });

  it.each([
    ["adapter-patterns", 2],
    ["adapter-rslora", 1],
  ])("gives every layer its scale by one alpha: %s", async (name, count) => {
    const base = join(goldens, "llama-gqa");
    const folder = join(base, name);
    const path = join(dir, `${name}.gguf`);
    const { alpha } = await exportLoraGguf(folder, await readHfConfig(base), path);
    await using file = await openGguf(path);
    expect(file.metadata.get("adapter.lora.alpha")).toBe(alpha);
    const config = fromPeftConfig(JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8")), name);
    await using peft = await openSafetensors(join(folder, "adapter_model.safetensors"));
    const scales = new Set<number>();
    for (const layer of [0, 1]) {
      const module = `model.layers.${layer}.mlp.down_proj`;
      const b = await peft.read(`base_model.model.${module}.lora_B.weight`, "f32");
      const got = await file.read(`blk.${layer}.ffn_down.weight.lora_b`, "f32");
      const rank = file.tensors.get(`blk.${layer}.ffn_down.weight.lora_a`)!.shape[0]!;
      const { r, scale } = layerScale(config, module);
      expect(rank).toBe(r);
      scales.add(scale);
      // llama.cpp multiplies by alpha / rank; two roundings to f32
      for (const [i, value] of b.entries()) expect((got[i]! * alpha) / rank).toBeCloseTo(value * scale, 6);
      expect(b.some((value) => Math.abs(value) > 0.01)).toBe(true);
    }
    expect(scales.size).toBe(count);
  });

  it("rounds to 16 bits where asked", async () => {
    const base = join(goldens, "llama-gqa");
    const path = join(dir, "half.gguf");
    await exportLoraGguf(join(base, "adapter"), await readHfConfig(base), path, { type: "F16", name: "half" });
    await using file = await openGguf(path);
    expect(new Set([...file.tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(["F16"]));
    await using peft = await openSafetensors(join(base, "adapter", "adapter_model.safetensors"));
    let compared = 0;
    for (const name of peft.tensors.keys()) {
      const [, path, side] = /^base_model\.model\.(.+)\.lora_([AB])\.weight$/.exec(name)!;
      if (side === "B" && /[qk]_proj$/.test(path!)) continue; // their rows stand in another order
      const rounded = f16ToF32(f32ToF16(await peft.read(name, "f32")));
      const stored = `${ggufName(`${path}.weight`)}.lora_${side!.toLowerCase()}`;
      expect(await file.read(stored, "f32"), name).toEqual(rounded);
      compared++;
    }
    expect(compared).toBe(24); // 14 layers, A and B, without B of q and k
    expect(file.metadata.get("general.name")).toBe("half");
  });

  it("refuses what an adapter of llama.cpp cannot hold, and other bases", async () => {
    const base = join(goldens, "llama-gqa");
    const config = await readHfConfig(base);
    const path = join(dir, "refused.gguf");
    const before = await readdir(dir);
    const biased = join(goldens, "llama-bias", "adapter-bias-all");
    await expect(exportLoraGguf(biased, config, path)).rejects.toMatchObject({ code: "unsupported" });
    const shallow = exportLoraGguf(join(base, "adapter"), { ...config, layers: 1 }, path);
    await expect(shallow).rejects.toMatchObject({ code: "format", message: expect.stringContaining("layers.1") });
    const narrow = exportLoraGguf(join(base, "adapter"), { ...config, hiddenSize: config.hiddenSize * 2 }, path);
    await expect(narrow).rejects.toMatchObject({ code: "shape" });
    for (const [layer, side] of [
      ["lm_head", "lora_A.weight"],
      ["model.embed_tokens", "lora_embedding_A"],
    ] as const) {
      const folder = await withOnly(`base_model.model.${layer}.${side}`);
      await expect(exportLoraGguf(folder, config, path)).rejects.toMatchObject({
        code: "unsupported",
        message: expect.stringMatching(/adapts (lm_head|embed_tokens): only .*; merge this adapter/),
      });
      await rm(folder, { recursive: true });
    }
    expect(await readdir(dir)).toEqual(before);
    await writeFile(path, "mine");
    await expect(exportLoraGguf(join(base, "adapter"), config, path)).rejects.toMatchObject({ code: "exists" });
  });

  it("leaves a file alone that appears while it writes", async () => {
    const base = join(goldens, "llama-gqa");
    const path = join(dir, "late.gguf");
    const options = {
      get name(): string {
        writeFileSync(path, "mine"); // asked for after the first look at the path
        return "late";
      },
    };
    const made = exportLoraGguf(join(base, "adapter"), await readHfConfig(base), path, options);
    await expect(made).rejects.toMatchObject({ code: "exists" });
    expect(await readFile(path, "utf8")).toBe("mine");
  });

  /** An adapter with one tensor. */
  async function withOnly(name: string): Promise<string> {
    const adapter = join(goldens, "llama-gqa", "adapter");
    const folder = await mkdtemp(join(dir, "only-"));
    await cp(join(adapter, "adapter_config.json"), join(folder, "adapter_config.json"));
    const info = { dtype: "F32", shape: [1, 1], data_offsets: [0, 4] };
    const head = Buffer.from(JSON.stringify({ [name]: info }));
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(head.length));
    await writeFile(join(folder, "adapter_model.safetensors"), Buffer.concat([size, head, Buffer.alloc(4)]));
    return folder;
  }

  it("writes an adapter of alpha 0 as one that changes nothing", async () => {
    const base = join(goldens, "llama-gqa");
    const folder = join(dir, "zero");
    await cp(join(base, "adapter"), folder, { recursive: true });
    const json = JSON.parse(await readFile(join(folder, "adapter_config.json"), "utf8"));
    await writeFile(join(folder, "adapter_config.json"), JSON.stringify({ ...json, lora_alpha: 0 }));
    const { alpha } = await exportLoraGguf(folder, await readHfConfig(base), join(dir, "zero.gguf"));
    expect(alpha).toBe(1);
    await using file = await openGguf(join(dir, "zero.gguf"));
    const b = await file.read("blk.0.attn_q.weight.lora_b", "f32");
    expect(b.every((value) => value === 0)).toBe(true);
  });
});
