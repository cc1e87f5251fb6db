// Full fine-tuning of bf16 weights, f32 masters and 8-bit moments kept by the optimizer; says what memory it took.
//   node bench/full/ours.mjs '{"model": FOLDER, "out": FOLDER, "placement": "device" | "host" | "file", "steps": 1, "seq": 512}'
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { loadModel, uploadBatch } from "@ft/models";
import { constant, withMasterWeights } from "@ft/optim";
import { optimizers8bit } from "@ft/optim-8bit";
import { train } from "@ft/trainer";
import { randomBatch } from "../lib/random-batch.mjs";

const { model: folder, out, placement = "file", steps = 1, seq = 512, threads } = JSON.parse(process.argv[2]);
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

await mkdir(out, { recursive: true });
const backend = await createCpuBackend({ ...(threads && { threads }) });
const model = await loadModel(folder, { backend });
say({ loaded: process.memoryUsage.rss() });
const { vocabSize } = model.config;
const events = train({
  parameters: model.parameters(),
  loss: (batch) => model.loss(uploadBatch(backend, batch, vocabSize), { checkpointing: true }).loss,
  batches: { perEpoch: 1_000_000, batchAt: (n) => randomBatch(n, { batch: 1, seq, vocabSize }) },
  optimizer: withMasterWeights(optimizers8bit.adamw8bit({ weightDecay: 0.01 })),
  optimizerPlacement: placement === "file" ? { file: out } : placement,
  schedule: constant({ learningRate: 1e-4, totalSteps: steps }),
  maxSteps: steps,
  clipNorm: 1,
  checkpoint: { dir: join(out, "checkpoints"), keep: 1 },
});
let last = performance.now();
for await (const event of events) {
  const seconds = (performance.now() - last) / 1000;
  last = performance.now();
  say({ ...event, seconds, rss: process.memoryUsage.rss() });
}
