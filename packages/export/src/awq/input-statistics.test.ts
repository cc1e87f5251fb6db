import { createCpuBackend } from "@ft/backend-cpu";
import { tensor } from "@ft/tensor";
import { expectClose } from "@ft/testing";
import { it } from "vitest";
import { divided, StatisticsOf } from "./input-statistics.ts";

it("knows the products of inputs that scales divided", async () => {
  const backend = await createCpuBackend();
  const [tokens, width] = [12, 64];
  const scales = Float32Array.from({ length: width }, (_, c) => 2 ** ((c % 5) - 2));
  const x = Float32Array.from({ length: tokens * width }, (_, i) => Math.sin(i * 1.3));
  const grams = async (values: Float32Array<ArrayBuffer>) => {
    using held = tensor(backend, "f32", ["batch", "seq", "in"], [1, tokens, width], values);
    const gathered = new StatisticsOf(width, 32);
    await gathered.add(held);
    return gathered.result().grams;
  };
  const got = divided(await grams(x), scales);
  const want = await grams(x.map((value, i) => value / scales[i % width]!));
  for (const [group, gram] of got.entries())
    expectClose(gram, want[group]!, { relative: 1e-5, reason: "float32 sums" }, `group ${group}`);
});
