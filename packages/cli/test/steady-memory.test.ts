import { join } from "node:path";
import { createCpuBackend } from "@ft/backend-cpu";
import { applyLora } from "@ft/lora";
import { loadModel, uploadBatch } from "@ft/models";
import { adamw, constant } from "@ft/optim";
import { memory } from "@ft/tensor";
import { train } from "@ft/trainer";
import { expect, it } from "vitest";
import { emptyFolder } from "./run-ft.ts";
import { tinyModel } from "./tiny-model.ts";

function batchAt(n: number, shapes: readonly (readonly [number, number])[]) {
  const [batch, seq] = shapes[n % shapes.length]!;
  const places = Array.from({ length: batch * seq }, (_, i) => i);
  return {
    batch,
    seq,
    tokens: Int32Array.from(places, (i) => (7 * i + n) % 100),
    targets: Int32Array.from(places, (i) => (5 * i + n) % 100),
    positions: Int32Array.from(places, (i) => i % seq),
    segments: new Int32Array(places.length),
    targetTokens: places.length,
    rows: [n],
  };
}

it.each([
  { what: "one shape", shapes: [[2, 16]] as const, warm: 3 },
  {
    what: "four shapes",
    shapes: [
      [2, 16],
      [3, 8],
      [1, 24],
      [4, 12],
    ] as const,
    warm: 12,
  },
])("makes no new buffer in a steady run of $what", async ({ shapes, warm }) => {
  const backend = await createCpuBackend();
  using model = await loadModel(await tinyModel(join(await emptyFolder(), "model")), { backend });
  const adapter = applyLora(model, { r: 4, dropout: 0.1 });
  const { vocabSize } = model.config;
  const made: number[] = [];
  const live: number[] = [];
  const events = train<ReturnType<typeof batchAt>>({
    parameters: adapter.parameters(),
    loss: (batch) => model.loss(uploadBatch(backend, batch, vocabSize)).loss,
    batches: { perEpoch: 100, batchAt: (n) => batchAt(n, shapes) },
    optimizer: adamw(),
    schedule: constant({ learningRate: 1e-3, totalSteps: 40 }),
    maxSteps: 40,
    clipNorm: 1,
    beforeMicroBatch: ({ draw }) => adapter.train(draw),
  });
  for await (const event of events) {
    if (event.type !== "step") continue;
    made.push(backend.buffers.made);
    live.push(memory(backend).live);
  }
  expect(made[warm - 1]).toBeGreaterThan(100);
  expect(made.at(-1)! - made[warm - 1]!).toBe(0);
  expect(live.at(-1)).toBe(live[1]);
});
