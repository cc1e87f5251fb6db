import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { loadModel } from "@ft/models";
import { type FloatDType, type Parameter, philoxNormal, sizeOf } from "@ft/tensor";
import { expectClose } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { goldenBatch, goldenFolder, goldenJson, realLogits } from "../../models/test/goldens.ts";
import { applyLora, type LoraOptions, saveAdapter } from "../src/index.ts";

/**
 * Adapters that this package wrote, kept in tools/goldens/data/saved-here/<case>, and the logits that PEFT computed after
 * loading them (peft_check.py). FT_WRITE_ADAPTERS=1 writes the folders anew, for PEFT to be asked again.
 */
const cases: readonly [name: string, base: string, options: LoraOptions][] = [
  ["all-linear", "llama-gqa", { r: 4, alpha: 8, dropout: 0.1 }],
  [
    "patterns",
    "llama-gqa",
    {
      r: 4,
      rsLora: true,
      rankPattern: { q_proj: 2 },
      alphaPattern: { "layers.1.mlp.down_proj": 3 },
      excludeModules: ["k_proj"],
    },
  ],
  ["regex", "llama-mha-tied", { r: 3, targetModules: ".*\\.1\\..*(q|v|up)_proj" }],
  ["bias", "llama-bias", { r: 2, bias: "all", targetModules: ["q_proj", "down_proj"] }],
];

/** Values that make the adapter matter; f32 or not, from the index alone. */
function fill(parameter: Parameter<FloatDType>, stream: number): void {
  const normal = philoxNormal(17, stream, 0);
  parameter.write(Float32Array.from({ length: sizeOf(parameter.shape) }, (_, i) => 0.2 * normal(i)));
}

describe.each(cases)("an adapter saved here, %s", async (name, base, options) => {
  it("is, byte for byte, the one that PEFT loaded, and has the logits that PEFT computed", async () => {
    const kept = join(goldenFolder("saved-here"), name);
    const write = process.env.FT_WRITE_ADAPTERS !== undefined;
    const folder = write ? kept : await mkdtemp(join(tmpdir(), "ft-saved-"));
    await mkdir(folder, { recursive: true });
    using model = await loadModel(goldenFolder(base), { backend: await createCpuBackend() });
    const adapter = applyLora(model, { seed: 3, ...options });
    for (const [i, parameter] of [...adapter.parameters().values()].entries()) fill(parameter, i);
    await saveAdapter(adapter, folder);
    for (const file of ["adapter_config.json", "adapter_model.safetensors"])
      expect((await readFile(join(folder, file))).equals(await readFile(join(kept, file))), file).toBe(true);
    if (write) return;
    await rm(folder, { recursive: true });
    const { logits } = JSON.parse(await readFile(join(kept, "peft.json"), "utf8"));
    const bound = { relative: 1e-4, reason: "float32 on both sides, sums in another order" };
    expectClose(await realLogits(model, goldenBatch(goldenJson(base).padded)), logits, bound, "logits");
  });
});
