import { createCpuBackend } from "@ft/backend-cpu";
import { type Batch, batches, type Example } from "@ft/data";
import { loadAdapter } from "@ft/lora";
import { type Llama, loadModel, uploadBatch } from "@ft/models";
import { philox } from "@ft/tensor";
import { relativeError } from "@ft/testing";
import { windowGradients } from "@ft/trainer";
import { describe, expect, it } from "vitest";
import { goldenFolder } from "../../models/test/goldens.ts";

/** Rows of very different lengths, with losses on some of their tokens only. */
function raggedRows(count: number): Example[] {
  return Array.from({ length: count }, (_, row) => {
    const draw = philox(7, row, 0);
    const length = 3 + Math.floor(draw(0) * 30);
    const tokens = Int32Array.from({ length }, (_, i) => Math.floor(draw(i + 1) * 96));
    const learnt = 1 + Math.floor(draw(100) * (length - 1));
    const targets = Int32Array.from({ length }, (_, i) =>
      i + 1 < length && i >= length - 1 - learnt ? tokens[i + 1]! : -100,
    );
    return { tokens, targets, cut: 0, source: { file: "made", row: row + 1 } };
  });
}

type Grads = Map<string, Float64Array>;

async function gradients(
  model: Llama,
  parameters: ReturnType<Llama["parameters"]>,
  members: readonly Batch[],
): Promise<Grads> {
  const loss = (batch: Batch) => model.loss(uploadBatch(model.backend, batch, model.config.vocabSize)).loss;
  const result = await windowGradients(parameters, loss, members);
  const read: Grads = new Map();
  for (const [name, grad] of result!.grads) {
    read.set(name, Float64Array.from(await grad.read()));
    grad.dispose();
  }
  return read;
}

function worst(got: Grads, want: Grads): number {
  expect([...got.keys()].sort()).toEqual([...want.keys()].sort());
  return Math.max(...[...want].map(([name, value]) => relativeError(got.get(name)!, value).error));
}

async function adapted(): Promise<{ model: Llama; parameters: ReturnType<Llama["parameters"]> }> {
  const model = await loadModel(goldenFolder("llama-gqa"), { backend: await createCpuBackend() });
  const adapter = await loadAdapter(model, `${goldenFolder("llama-gqa")}/adapter`);
  return { model, parameters: adapter.parameters() };
}

const allBatches = (examples: readonly Example[], batchSize: number): Batch[] => {
  const source = batches({ examples, seed: 3, batchSize, maxLength: 40, shuffle: false });
  return Array.from({ length: source.perEpoch }, (_, i) => source.batchAt(i));
};

describe("an accumulation window, however it is cut", () => {
  it.each([16, 13])(
    "gives the gradients of 1 x %i rows: 4 x 4, 16 x 1, and a partial last micro-batch",
    async (count) => {
      const { model, parameters } = await adapted();
      const rows = raggedRows(count);
      const whole = await gradients(model, parameters, allBatches(rows, count));
      for (const size of [1, 3, 4, 5]) {
        const cut = await gradients(model, parameters, allBatches(rows, size));
        // float32 sums in another order; a mean of means would be off by more than 1e-2 on such rows
        expect(worst(cut, whole), `micro-batches of ${size}`).toBeLessThan(1e-6);
      }
      model.dispose();
    },
  );
});

describe("packing", () => {
  it("gives the gradients of unpacked rows", async () => {
    const { model, parameters } = await adapted();
    const examples = raggedRows(9);
    const plain = await gradients(model, parameters, allBatches(examples, 3));
    const source = batches({ examples, seed: 3, batchSize: 1, maxLength: 100, packing: true, shuffle: false });
    const packed = Array.from({ length: source.perEpoch }, (_, i) => source.batchAt(i));
    expect(packed.length).toBeLessThan(9);
    expect(worst(await gradients(model, parameters, packed), plain)).toBeLessThan(1e-5);
    model.dispose();
  });

  it("lets nothing across: editing one segment changes not one bit of another's logits", async () => {
    const { model } = await adapted();
    const examples = raggedRows(4);
    const [batch] = [
      batches({ examples, seed: 3, batchSize: 1, maxLength: 140, packing: true, shuffle: false }).batchAt(0),
    ];
    const edited: Batch = {
      ...batch!,
      tokens: batch!.tokens.map((id, i) => (batch!.segments[i] === 2 ? (id + 1) % 96 : id)),
    };
    const logits = async (of: Batch): Promise<Float32Array | Float64Array> => {
      using y = model.logits(uploadBatch(model.backend, of, 96));
      return y.read();
    };
    const [before, after] = [await logits(batch!), await logits(edited)];
    let changed = 0;
    for (const [i, segment] of batch!.segments.entries()) {
      const same = before.subarray(i * 96, (i + 1) * 96).every((value, j) => Object.is(value, after[i * 96 + j]));
      if (segment === 2) changed += same ? 0 : 1;
      else expect(same, `place ${i} of segment ${segment}`).toBe(true);
    }
    expect(changed).toBeGreaterThan(0);
    model.dispose();
  });
});
