import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { expect, it, onTestFinished } from "vitest";
import { tinyModel } from "../../test/tiny-model.ts";
import { openModel } from "./open-model.ts";

it("holds the matrices of an f32 file in what activations are computed in, its norms in f32", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ft-open-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = await tinyModel(join(folder, "model"));
  const backend = await createCpuBackend();
  for (const dtype of [undefined, "bf16", "f16"] as const) {
    using open = await openModel(path, { backend, dtype });
    for (const [name, weight] of open.model.parameters())
      expect(weight.dtype, name).toBe(weight.shape.length > 1 ? (dtype ?? "f32") : "f32");
  }
});
