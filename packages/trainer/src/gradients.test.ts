import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import { memory } from "@ft/tensor";
import { leakCheck } from "@ft/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Tiny, type TinyBatch, tinyBatch, tinyModel, tinyRows } from "../test/tiny.ts";
import { windowGradients } from "./gradients.ts";
import { countSteps, windowAt } from "./window.ts";

let cpu: CpuBackend;
let model: Tiny;
beforeEach(async () => {
  cpu = await createCpuBackend({ native: false, poison: true });
  model = tinyModel(cpu);
});
afterEach(() => {
  model.dispose();
  expect(memory(cpu).live).toBe(0);
});

async function gradients(batches: readonly TinyBatch[]): Promise<{ loss: number; grads: Map<string, Float32Array> }> {
  const result = await windowGradients(model.parameters, model.loss, batches);
  const grads = new Map<string, Float32Array>();
  for (const [name, grad] of result!.grads) {
    grads.set(name, Float32Array.from(await grad.read()));
    grad.dispose();
  }
  return { loss: result!.losses.reduce((sum, loss) => sum + loss, 0), grads };
}

/** The largest difference over the largest magnitude, of the worst tensor. */
function worst(a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>): number {
  expect([...a.keys()]).toEqual([...b.keys()]);
  const errors = [...a].map(([name, x]) => {
    const y = b.get(name)!;
    return Math.max(...x.map((v, i) => Math.abs(v - y[i]!))) / Math.max(...x.map(Math.abs));
  });
  return Math.max(...errors);
}

describe("accumulation", () => {
  // Lengths differ from row to row and prompts have no loss, so micro-batches weigh differently: a mean of means fails here.
  test.each([16, 14, 13])("%i ragged rows, cut in any way", async (count) => {
    const rows = tinyRows(count);
    const cut = (size: number) =>
      Array.from({ length: Math.ceil(count / size) }, (_, i) =>
        tinyBatch(
          rows,
          Array.from({ length: Math.min(size, count - i * size) }, (_, j) => i * size + j),
        ),
      );
    const whole = await gradients(cut(16));
    for (const size of [8, 4, 1]) {
      const parts = await gradients(cut(size));
      expect(worst(whole.grads, parts.grads), `micro-batches of ${size}`).toBeLessThan(1e-6);
      expect(Math.abs(parts.loss - whole.loss)).toBeLessThan(1e-6 * whole.loss);
    }
  });

  test("a micro-batch without targets changes nothing", async () => {
    const rows = tinyRows(5);
    const blank = { ...rows[4]!, targets: rows[4]!.targets.map(() => -100) };
    const all = [...rows.slice(0, 4), blank];
    const with_ = await gradients([tinyBatch(all, [4]), tinyBatch(all, [0, 1]), tinyBatch(all, [2, 3])]);
    const without = await gradients([tinyBatch(all, [0, 1]), tinyBatch(all, [2, 3])]);
    expect(worst(with_.grads, without.grads)).toBe(0);
  });

  test("a window without any target is an error that names the rows", async () => {
    const rows = tinyRows(3).map((row) => ({ ...row, targets: row.targets.map(() => -100) }));
    await expect(gradients([tinyBatch(rows, [2, 1])])).rejects.toThrow(/rows 2, 1 have no target token/);
  });

  test("nothing is left behind, also when a loss throws half-way or the window is dropped", async () => {
    const rows = tinyRows(6);
    const batches = [tinyBatch(rows, [0, 1]), tinyBatch(rows, [2, 3]), tinyBatch(rows, [4, 5])];
    let calls = 0;
    const failing = (batch: TinyBatch) => {
      if (++calls === 3) throw new Error("third");
      return model.loss(batch);
    };
    await leakCheck(cpu, async () => {
      await gradients(batches);
      await expect(windowGradients(model.parameters, failing, batches)).rejects.toThrow("third");
      let asked = 0;
      const aborted = () => ++asked > 2;
      expect(await windowGradients(model.parameters, model.loss, batches, { aborted })).toBeUndefined();
    });
  });
});

test("windows end with the epoch", () => {
  const sizes: number[] = [];
  for (let from = 0; from < 14; ) {
    const { size } = windowAt(from, 7, 3);
    sizes.push(size);
    from += size;
  }
  expect(sizes).toEqual([3, 3, 1, 3, 3, 1]);
  expect(countSteps({ perEpoch: 7, accumulation: 3, epochs: 2 })).toBe(6);
  expect(countSteps({ perEpoch: 7, accumulation: 3, epochs: 1.5 })).toBe(5);
  expect(countSteps({ perEpoch: 7, accumulation: 3, epochs: 2, maxSteps: 4 })).toBe(4);
  expect(countSteps({ perEpoch: 7, maxSteps: 100 })).toBe(100);
});
