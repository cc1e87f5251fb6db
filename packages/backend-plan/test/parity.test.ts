import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { applyLora, type LoraOptions } from "@ft/lora";
import { type HostBatch, loadModel, uploadBatch } from "@ft/models";
import { type AnyOptimizer, constant, optimizers, type Placement, withMasterWeights } from "@ft/optim";
import { optimizers8bit } from "@ft/optim-8bit";
import { type BitsandbytesOptions, bitsandbytesFormat } from "@ft/quant-nf4";
import { type Backend, memory, type Parameter } from "@ft/tensor";
import { type TrainBatch, train } from "@ft/trainer";
import { describe, expect, it } from "vitest";
import { createPlanBackend } from "../src/index.ts";

const folder = fileURLToPath(new URL("../../../examples/quickstart/model", import.meta.url));

interface Case {
  readonly lora?: LoraOptions;
  readonly format?: BitsandbytesOptions;
  readonly weights?: "f32" | "bf16";
  readonly placement?: Placement;
  readonly checkpointing?: boolean;
  readonly accumulation?: number;
  readonly optimizer?: AnyOptimizer;
  /** rows by sequence, of each micro-batch in turn; a number of segments in each row */
  readonly shapes?: readonly (readonly [batch: number, seq: number, segments?: number])[];
  readonly clipNorm?: number;
}

const adamw = (): AnyOptimizer => optimizers.adamw!({});

const cases: Readonly<Record<string, Case>> = {
  LoRA: { lora: { r: 4 } },
  "LoRA with dropout, checkpointed": { lora: { r: 4, dropout: 0.1 }, checkpointing: true },
  "LoRA over batches of several shapes": { lora: { r: 4 }, shapes: [[2, 40], [4, 16], [1, 64], [3, 24]] }, // biome-ignore format: one line each
  "LoRA on attention alone, accumulated": { lora: { r: 2, targetModules: ["q_proj", "v_proj"] }, accumulation: 3 },
  "LoRA over packed rows": { lora: { r: 4 }, shapes: [[1, 96, 3]] },
  "every weight": {},
  "every weight, checkpointed": { checkpointing: true, accumulation: 2 },
  "QLoRA in NF4, checkpointed, with 8-bit moments": {
    lora: { r: 8 },
    format: {},
    checkpointing: true,
    optimizer: optimizers8bit.adamw8bit!({ min8bitSize: 0 }),
  },
  "QLoRA in FP4 without double quantisation": {
    lora: { r: 4 },
    format: { type: "fp4", doubleQuant: false, blockSize: 128 },
  },
  "LoRA over int8": { lora: { r: 4 }, format: { type: "int8" }, accumulation: 2 },
  "every weight with 8-bit Lion in host memory": {
    optimizer: optimizers8bit.lion8bit!({}),
    placement: "host",
  },
  "every weight in bf16 with masters in a file": {
    weights: "bf16",
    optimizer: withMasterWeights(adamw()),
    placement: { file: tmpdir() },
  },
  "every weight with SGD": { optimizer: optimizers.sgd!({ momentum: 0.9 }), clipNorm: 1e-3 },
};

type Made = HostBatch & TrainBatch;

function batchOf([batch, seq, segments = 1]: readonly [number, number, number?], n: number): Made {
  const places = batch * seq;
  const ids = (by: number): Int32Array<ArrayBuffer> =>
    Int32Array.from({ length: places }, (_, i) => (i * by + n) % 1500);
  const part = Math.ceil(seq / segments);
  // a third of the places has no loss, as the prompts of rows have none
  const targets = ids(7).map((id, i) => (i % 3 === 0 ? -100 : id));
  return {
    batch,
    seq,
    tokens: ids(3),
    targets,
    positions: Int32Array.from({ length: places }, (_, i) => (i % seq) % part),
    segments: Int32Array.from({ length: places }, (_, i) => 1 + Math.floor((i % seq) / part)),
    targetTokens: targets.filter((id) => id >= 0).length,
    rows: [n],
  };
}

/** What lives, and the largest that it was, after loading and after each of three steps. */
async function peaks(backend: Backend, held: () => readonly [number, number], at: Case): Promise<number[][]> {
  const { lora, checkpointing = false, accumulation = 1, optimizer = adamw(), clipNorm = 1e-3 } = at;
  const { shapes = [[2, 32]], format, weights = "f32", placement = "device" } = at;
  const seen: number[][] = [];
  const look = (): void => {
    const stats = memory(backend);
    seen.push([stats.live, stats.bytes, stats.peak, ...held()]);
    stats.peak = stats.bytes;
  };
  const model = await loadModel(folder, {
    backend,
    weights: lora ? "stored" : weights,
    ...(format && { format: bitsandbytesFormat(format) }),
  });
  look();
  const adapter = lora && applyLora(model, lora);
  const parameters: ReadonlyMap<string, Parameter> = adapter?.parameters() ?? model.parameters();
  const { vocabSize } = model.config;
  const events = train<Made>({
    parameters,
    loss: (batch) => model.loss(uploadBatch(backend, batch, vocabSize), { checkpointing }).loss,
    batches: { perEpoch: 1000, batchAt: (n) => batchOf(shapes[n % shapes.length]!, n) },
    optimizer,
    optimizerPlacement: placement,
    schedule: constant({ learningRate: 1e-4, totalSteps: 4 }),
    maxSteps: 4,
    accumulation,
    clipNorm,
    beforeMicroBatch: ({ draw }) => adapter?.train(draw),
  });
  for await (const event of events) if (event.type === "step") look();
  look();
  adapter?.remove();
  model.dispose();
  look();
  return seen;
}

describe("a step on the plan backend", () => {
  it.each(Object.keys(cases))(
    "has the live bytes, the peak and the idle buffers of the same on the CPU: %s",
    async (name) => {
      const real = await createCpuBackend({ threads: 2 });
      const dry = createPlanBackend({ like: real });
      const { buffers } = real;
      const want = await peaks(real, () => [buffers.liveBytes, buffers.idleBytes], cases[name]!);
      const got = await peaks(dry, () => [dry.memory.live, dry.memory.idle], cases[name]!);
      expect(want.length).toBe(7);
      expect(want[2]![2]).toBeGreaterThan(want[1]![1]!);
      expect(got).toEqual(want);
      expect(want.at(-1)?.slice(0, 2)).toEqual([0, 0]);
      expect(dry.work.flops).toBeGreaterThan(1e6);
    },
  );
});
