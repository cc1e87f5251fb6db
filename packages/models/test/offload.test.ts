import { createCpuBackend } from "@ft/backend-cpu";
import { type Backend, memory, scalar, type Tensor, valueAndGrad } from "@ft/tensor";
import { divide } from "@ft/tensor/ops";
import { describe, expect, it } from "vitest";
import { type Checkpointing, loadModel, uploadBatch } from "../src/index.ts";
import { goldenBatch, goldenFolder, goldenJson } from "./goldens.ts";

const host = goldenBatch(goldenJson("llama-gqa").padded);

interface Parking {
  readonly backend: Backend;
  /** copies that have not been given up */
  parked: number;
  /** the most of them at a time */
  most: number;
  /** what happened to which copy */
  readonly events: string[];
}

/** A CPU backend with another memory. Values come back no sooner than they are said to have arrived. */
async function parking(): Promise<Parking> {
  const cpu = await createCpuBackend({ native: false, poison: true });
  const state = { parked: 0, most: 0, events: [] as string[] };
  const backend: Backend = {
    ...cpu,
    park(buffer) {
      const kept = buffer.slice();
      let bring: (() => void) | undefined;
      let dropped = false;
      const number = state.parked++;
      state.most = Math.max(state.most, state.parked);
      return {
        fetch(into) {
          if (bring || dropped) throw new Error("fetched twice, or too late");
          bring = () => into.set(kept);
          state.events.push(`fetch ${number}`);
        },
        arrive() {
          if (!bring) throw new Error("arrived without being fetched");
          bring();
          state.events.push(`arrive ${number}`);
        },
        drop() {
          if (dropped) throw new Error("dropped twice");
          dropped = true;
          state.parked--;
        },
      };
    },
  };
  return Object.assign(state, { backend });
}

async function step(backend: Backend, checkpointing: Checkpointing, fail = false) {
  using model = await loadModel(goldenFolder("llama-gqa"), { backend });
  const batch = uploadBatch(backend, host, model.config.vocabSize);
  using count = scalar(backend, "f32", host.targetTokens);
  const stats = memory(backend);
  const before = stats.live;
  stats.peak = stats.bytes;
  const held = stats.bytes;
  const run = () =>
    valueAndGrad(model.parameters(), () => {
      const { loss } = model.loss(batch, { checkpointing });
      if (fail) throw new Error("no backward");
      return divide(loss as Tensor<"f32", readonly []>, count);
    });
  try {
    const { value, grads } = run();
    const peak = stats.peak - held;
    const read = new Map<string, unknown>();
    for (const [name, grad] of grads) {
      read.set(name, await grad.read());
      grad.dispose();
    }
    const loss = await value.read();
    value.dispose();
    return { loss, grads: read, peak };
  } finally {
    expect(stats.live).toBe(before);
    for (const x of Object.values<Tensor>({ ...batch })) x.dispose();
  }
}

describe("inputs of blocks in another memory", () => {
  it("come back to the bit, one ahead of the block that is at work", async () => {
    const { peak: _, ...want } = await step(await createCpuBackend({ native: false, poison: true }), true);
    const state = await parking();
    const { peak: __, ...got } = await step(state.backend, "offload");
    expect(got).toEqual(want);
    expect(state.most).toBe(2);
    expect(state.parked).toBe(0);
    expect(state.events).toEqual(["fetch 1", "arrive 1", "fetch 0", "arrive 0"]);
  });

  it("are given up when there is no backward", async () => {
    const state = await parking();
    await expect(step(state.backend, "offload", true)).rejects.toThrow("no backward");
    expect(state.parked).toBe(0);
  });

  it("stay where they are on a backend without one, and without being asked", async () => {
    const cpu = await createCpuBackend({ native: false });
    expect(await step(cpu, "offload")).toEqual(await step(cpu, true));
    const state = await parking();
    await step(state.backend, true);
    expect(state.most).toBe(0);
  });
});
