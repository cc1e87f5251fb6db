import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { loadModel, uploadBatch } from "@ft/models";
import { expectClose } from "@ft/testing";
import { expect, it } from "vitest";
import { goldenBatch, goldenFolder, goldenJson, goldenTensors, realLogits } from "../../models/test/goldens.ts";
import { bitsandbytesFormat } from "../src/index.ts";

const { padded } = JSON.parse(await readFile(join(goldenFolder("bnb-llama"), "batch.json"), "utf8"));
const host = goldenBatch(padded);

it.each([
  ["nf4", "bf16", 5e-2],
  ["nf4", "f16", 5e-3],
  ["int8", "bf16", 5e-2],
  ["int8", "f16", 5e-3],
] as const)(
  "weights in %s under activations in %s have bitsandbytes' logits within their rounding",
  async (type, dtype, relative) => {
    const backend = await createCpuBackend();
    const format = bitsandbytesFormat({ type });
    using model = await loadModel(join(goldenFolder("bnb-llama"), type), { backend, dtype, format });
    const want = (await goldenTensors(`bnb-llama/${type}`)).get("logits")!;
    const bound = { relative, reason: "every activation is rounded to 16 bits" };
    expectClose(await realLogits(model, host), want, bound, "logits");
    const { loss, count } = model.loss(uploadBatch(backend, host, model.config.vocabSize));
    expect(loss.dtype).toBe("f32");
    const golden = goldenJson(`bnb-llama/${type}`);
    expectClose(await loss.read(), [golden.loss.sum], bound, "loss");
    loss.dispose();
    count.dispose();
  },
);
