import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import { type Llama, loadModel } from "@ft/models";
import { memory, type WideDType } from "@ft/tensor";
import { describe, expect, it, onTestFinished } from "vitest";
import { goldenFolder } from "../../models/test/goldens.ts";
import { applyLora, LoraLinear, loadAdapter } from "../src/index.ts";

async function load(dtype: WideDType = "f32"): Promise<{ model: Llama; backend: CpuBackend }> {
  const backend = await createCpuBackend();
  return { model: await loadModel(goldenFolder("llama-bias"), { backend, dtype }), backend };
}

describe("applyLora", () => {
  it.each([
    [{ targetModules: ["no_proj"] }, /target module "no_proj" matches no linear layer/],
    // the first pattern serves q_proj; only the layers after it come to the second
    [{ rankPattern: { q_proj: 2, "(": 3 } }, /"\(" is not a regular expression/],
  ])("changes nothing and leaks nothing when it refuses %j", async (options, message) => {
    const { model, backend } = await load();
    const before = memory(backend).live;
    expect(() => applyLora(model, options)).toThrow(message);
    expect([...model.linears().values()].some((linear) => linear instanceof LoraLinear)).toBe(false);
    expect(memory(backend).live).toBe(before);
    model.dispose();
  });
});

describe("fuse", () => {
  it.each(["f32", "f64"] as const)("frees what it replaces of a model in %s", async (dtype) => {
    const { model, backend } = await load(dtype);
    await applyLora(model).fuse();
    model.dispose();
    expect(memory(backend).live).toBe(0);
  });
});

describe("loadAdapter", () => {
  it("refuses initialisations that change the base weights", async () => {
    const folder = await mkdtemp(join(tmpdir(), "ft-lora-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await cp(join(goldenFolder("llama-bias"), "adapter"), folder, { recursive: true });
    const file = join(folder, "adapter_config.json");
    const config = JSON.parse(await readFile(file, "utf8"));
    const { model } = await load();
    for (const init of ["pissa", "pissa_niter_16", "olora", "loftq"]) {
      await writeFile(file, JSON.stringify({ ...config, init_lora_weights: init }));
      await expect(loadAdapter(model, folder)).rejects.toThrow(`init_lora_weights is "${init}"`);
    }
    for (const init of [true, false, "gaussian", null]) {
      await writeFile(file, JSON.stringify({ ...config, init_lora_weights: init }));
      (await loadAdapter(model, folder)).remove();
    }
    model.dispose();
  });
});
