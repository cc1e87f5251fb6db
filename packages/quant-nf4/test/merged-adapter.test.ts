import { createCpuBackend } from "@ft/backend-cpu";
import { applyLora } from "@ft/lora";
import { type Llama, loadModel } from "@ft/models";
import { philoxNormal, sizeOf } from "@ft/tensor";
import { describe, expect, it } from "vitest";
import { goldenBatch, goldenFolder, goldenJson, realLogits } from "../../models/test/goldens.ts";
import { bitsandbytesFormat } from "../src/index.ts";

const batch = goldenBatch(goldenJson("llama-bias").padded);

/** The codes of a layer, and whatever else it holds beside float weights. */
function codes(model: Llama): Promise<unknown[]> {
  const format = bitsandbytesFormat();
  const entries = [...model.linears()].flatMap(([path, linear]) => format.entries(path, linear) ?? []);
  return Promise.all(entries.map(async ({ name, data }) => [name, await data()]));
}

describe("an adapter over a quantised base", () => {
  it.each(["nf4", "fp4", "int8"] as const)(
    "is merged into decoded weights of %s, and taken apart over the same codes",
    async (type) => {
      const format = bitsandbytesFormat({ type });
      using model = await loadModel(goldenFolder("llama-bias"), { backend: await createCpuBackend(), format });
      const stored = await codes(model);
      const adapter = applyLora(model, { r: 4 });
      for (const [i, x] of [...adapter.parameters().values()].entries()) {
        const normal = philoxNormal(31, i, 0);
        x.write(Float32Array.from({ length: sizeOf(x.shape) }, (_, at) => 0.1 * normal(at)));
      }
      const before = await realLogits(model, batch);
      await adapter.merge();
      const merged = await realLogits(model, batch);
      expect(merged).toHaveLength(before.length);
      // nothing is quantised again: both multiply by the decoded weights in f32
      for (const [i, x] of merged.entries()) expect(Math.abs(x - before[i]!)).toBeLessThan(1e-4);
      adapter.unmerge();
      expect(await realLogits(model, batch)).toEqual(before);
      adapter.remove();
      expect(stored.length).toBeGreaterThan(14);
      expect(await codes(model)).toEqual(stored);
    },
  );
});
