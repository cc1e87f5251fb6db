// A small training run with all that goes with one: LoRA, batches of several shapes, evaluation, checkpoints, logs.
//   node ours.mjs '{"model": FOLDER, "out": FOLDER, "threads": 2}'        does task.steps optimizer steps a line
import { createCpuBackend } from "@ft/backend-cpu";
import { applyLora } from "@ft/lora";
import { loadModel, meanLoss, uploadBatch } from "@ft/models";
import { adamw, constant } from "@ft/optim";
import { memory } from "@ft/tensor";
import { metricsLog, runDirectory, tensorBoardLog, train, watched } from "@ft/trainer";
import { randomBatch } from "../lib/random-batch.mjs";
import { serve } from "../lib/serve.mjs";

const { model: folder, out, threads } = JSON.parse(process.argv[2]);
const backend = await createCpuBackend({ threads });
const model = await loadModel(folder, { backend });
const adapter = applyLora(model, { r: 8, dropout: 0.1 });
const { vocabSize } = model.config;
const shapes = [
  [4, 32],
  [2, 64],
  [8, 16],
  [4, 48],
];
const batchAt = (n) => {
  const [batch, seq] = shapes[n % shapes.length];
  return randomBatch(n, { batch, seq, vocabSize });
};
const heldOut = Array.from({ length: 8 }, (_, i) => batchAt(1_000_000 + i));
const run = await runDirectory(out, { record: { config: {} } });
const events = watched(
  train({
    parameters: adapter.parameters(),
    loss: (batch) => model.loss(uploadBatch(backend, batch, vocabSize)).loss,
    batches: { perEpoch: 1000, batchAt },
    optimizer: adamw({ weightDecay: 0.01 }),
    schedule: constant({ learningRate: 1e-3, totalSteps: 1_000_000 }),
    maxSteps: 1_000_000,
    clipNorm: 1,
    evaluate: {
      every: 100,
      async run() {
        adapter.evaluate();
        return { loss: await meanLoss(model, heldOut) };
      },
    },
    checkpoint: { dir: run.checkpoints, every: 200, keepBest: false },
    beforeMicroBatch: ({ draw }) => adapter.train(draw),
  }),
  [metricsLog(run.path), tensorBoardLog(run.path)],
);

await serve({
  async step({ steps }) {
    let last = 0;
    while (steps > 0) {
      const { value } = await events.next();
      if (value.type === "step") [steps, last] = [steps - 1, value.step];
    }
    const { rss, heapUsed, heapTotal, external } = process.memoryUsage();
    const { bytes, live } = memory(backend);
    return { step: last, rss, heapUsed, heapTotal, external, tensorBytes: bytes, live, made: backend.buffers.made };
  },
  async end() {
    await events.return();
    await run[Symbol.asyncDispose]();
    return {};
  },
});
