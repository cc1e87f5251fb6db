// One LoRA training step a line on standard input, through the public API and the trainer's own loop.
//   node ours.mjs '{"model": FOLDER, "batch": 4, "seq": 512, ...}'
import { createCpuBackend } from "@ft/backend-cpu";
import { applyLora } from "@ft/lora";
import { loadModel, uploadBatch } from "@ft/models";
import { adamw, constant } from "@ft/optim";
import { train } from "@ft/trainer";
import { gemmPeak } from "../lib/gemm-peak.mjs";
import { randomBatch } from "../lib/random-batch.mjs";
import { serve } from "../lib/serve.mjs";
import { watch } from "./profile.mjs";

const options = JSON.parse(process.argv[2]);
const { model: folder, batch, seq, threads, checkpointing, profile } = options;
const watcher = profile ? watch() : undefined;
const backend = await createCpuBackend({ threads, ...(watcher && { observe: watcher.observe }) });
const peak = gemmPeak(backend);
const model = await loadModel(folder, { backend });
const adapter = applyLora(model, { r: 16, alpha: 32 });
const { vocabSize } = model.config;

const events = train({
  parameters: adapter.parameters(),
  loss: (one) => model.loss(uploadBatch(backend, one, vocabSize), { checkpointing }).loss,
  batches: { perEpoch: 1_000_000, batchAt: (n) => randomBatch(n, { batch, seq, vocabSize }) },
  optimizer: adamw({ weightDecay: 0.01 }),
  schedule: constant({ learningRate: 2e-4, totalSteps: 1_000_000 }),
  maxSteps: 1_000_000,
  clipNorm: 1,
  beforeMicroBatch: ({ draw }) => adapter.train(draw),
});
await events.next(); // "start"

await serve({
  ready: { engine: backend.engine, threads: backend.threads, gemmPeak: peak },
  async step() {
    const { value } = await events.next();
    if (value.step === 1) watcher?.reset();
    else watcher?.step(value.seconds);
    return { seconds: value.seconds, loss: value.loss, tokens: value.tokens };
  },
  async end() {
    await events.return();
    return watcher ? { profile: watcher.result(backend.context.native) } : {};
  },
});
