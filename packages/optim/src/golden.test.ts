import { readFileSync } from "node:fs";
import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import { type DataOf, dataOf, memory, type Parameter, parameter, type Tensor, tensor } from "@ft/tensor";
import { beforeAll, describe, expect, test } from "vitest";
import { adam } from "./adam/adam.ts";
import { adamw } from "./adamw/adamw.ts";
import { clipByGlobalNorm } from "./clip/clip.ts";
import { withGroups } from "./groups/groups.ts";
import { lion } from "./lion/lion.ts";
import type { AnyOptimizer } from "./optimizer.ts";
import { rmsprop } from "./rmsprop/rmsprop.ts";
import { defaultRole } from "./role.ts";
import { sgd } from "./sgd/sgd.ts";
import { OptimizerState } from "./state.ts";

type Name = "matrix" | "vector";
interface Trace {
  after: Record<Name, number[][]>;
  slots: Record<Name, Record<string, number[]>>;
}
interface Golden {
  shapes: Record<Name, number[]>;
  initial: Record<Name, number[]>;
  gradients: Record<Name, number[][]>;
  runs: Record<string, { settings: { lr: number | number[] }; f32: Trace; f64: Trace }>;
  clipping: { maxNorm: number; norm: number; gradients: Record<Name, number[]>; clipped: Record<Name, number[]> }[];
  decay: { decayed: string[]; notDecayed: string[] };
}
const file = new URL("../../../tools/goldens/data/optim/golden.json", import.meta.url);
const golden: Golden = JSON.parse(readFileSync(file, "utf8"));
const names: Name[] = ["matrix", "vector"];

// torch's slot names, and its settings in our words. "sgd-dampening" is not among them: there is no dampening here.
const torchSlots: Record<string, string> = { momentum: "momentum_buffer", m: "exp_avg", v: "exp_avg_sq" };
const rmspropSlots: Record<string, string> = { momentum: "momentum_buffer", mean: "grad_avg", v: "square_avg" };
const runs: Record<string, AnyOptimizer> = {
  sgd: sgd(),
  "sgd-momentum": sgd({ momentum: 0.9 }),
  "sgd-nesterov": sgd({ momentum: 0.9, nesterov: true }),
  "sgd-decay": sgd({ weightDecay: 0.1 }),
  "sgd-nesterov-decay": sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.1 }),
  adamw: adamw(),
  "adamw-no-decay": adamw({ weightDecay: 0 }),
  "adamw-groups": adamw({ weightDecay: 0.1, decayVectors: false }),
  "adamw-betas": adamw({ beta1: 0.8, beta2: 0.95, eps: 1e-3, weightDecay: 0.05 }),
  "adamw-schedule": adamw(),
  adam: adam(),
  "adam-decay": adam({ beta1: 0.8, beta2: 0.95, eps: 1e-3, weightDecay: 0.1 }),
  "adam-groups": adam({ weightDecay: 0.1, decayVectors: false }),
  lion: lion(),
  "lion-decay": lion({ beta1: 0.8, beta2: 0.95, weightDecay: 0.1 }),
  "lion-groups": lion({ weightDecay: 0.1, decayVectors: false }),
  rmsprop: rmsprop(),
  "rmsprop-decay": rmsprop({ alpha: 0.9, eps: 1e-3, weightDecay: 0.1 }),
  "rmsprop-momentum": rmsprop({ momentum: 0.9 }),
  "rmsprop-centered": rmsprop({ alpha: 0.8, eps: 1e-3, centered: true }),
  "rmsprop-all": rmsprop({
    ...{ alpha: 0.8, eps: 1e-3, momentum: 0.5, centered: true },
    ...{ weightDecay: 0.1, decayVectors: false },
  }),
};
const byGroups = withGroups({
  groups: [{ match: (name) => name === "vector", optimizer: adamw({ weightDecay: 0 }) }],
  otherwise: adamw({ weightDecay: 0.1 }),
});
const cases: [string, string, AnyOptimizer][] = [
  ...Object.entries(runs).map(([name, optimizer]): [string, string, AnyOptimizer] => [name, name, optimizer]),
  ["adamw-groups by withGroups", "adamw-groups", byGroups],
];

// f32: one rounding per operation over ten steps, of values around 1. f64: likewise, of 1e-16.
const tolerance = { f32: 1e-6, f64: 1e-14 };

function worst(ours: ArrayLike<number>, theirs: readonly number[]): number {
  const scale = Math.max(...theirs.map(Math.abs), 1e-30);
  return Math.max(...theirs.map((x, i) => Math.abs((ours[i] ?? Number.NaN) - x))) / scale;
}
function fill<D extends "f32" | "f64">(dtype: D, values: readonly number[]): DataOf[D] {
  const data = dataOf[dtype](new ArrayBuffer(values.length * (dtype === "f64" ? 8 : 4)));
  data.set(values);
  return data;
}

let cpu: CpuBackend;
beforeAll(async () => {
  cpu = await createCpuBackend({ native: false, poison: true });
});

describe.each(["f32", "f64"] as const)("ten steps against torch.optim and lion-pytorch, %s", (dtype) => {
  test.each(cases)("%s", async (_, run, optimizer) => {
    const before = memory(cpu).live;
    const { settings, [dtype]: trace } = golden.runs[run]!;
    const parameters = new Map<string, Parameter>(
      names.map((n) => [
        n,
        parameter(cpu, dtype, golden.shapes[n].map(String), golden.shapes[n], fill(dtype, golden.initial[n])),
      ]),
    );
    const state = new OptimizerState(optimizer, parameters);
    const held = memory(cpu).live;
    for (let step = 1; step <= 10; step++) {
      const lr = typeof settings.lr === "number" ? settings.lr : settings.lr[step - 1]!;
      const grads = new Map<string, Tensor<"f32" | "f64">>(
        names.map((n) => [
          n,
          tensor(
            cpu,
            dtype,
            golden.shapes[n].map(String),
            golden.shapes[n],
            fill(dtype, golden.gradients[n][step - 1]!),
          ),
        ]),
      );
      await state.step(grads, { step, lr });
      for (const n of names)
        expect(
          worst(await parameters.get(n)!.read(), trace.after[n][step - 1]!),
          `${n} after step ${step}`,
        ).toBeLessThan(tolerance[dtype]);
    }
    expect(memory(cpu).live).toBe(held);
    const slots = state.save();
    expect(slots.size).toBe(names.reduce((sum, n) => sum + Object.keys(trace.slots[n]).length, 0));
    const torchSlot = run.startsWith("rmsprop") ? rmspropSlots : torchSlots;
    for (const [key, slot] of slots) {
      const [kind = "", name] = key.split(":");
      const theirs = trace.slots[name === "vector" ? "vector" : "matrix"][torchSlot[kind]!]!;
      expect(worst(await slot.read(), theirs), key).toBeLessThan(tolerance[dtype]);
    }
    state.dispose();
    for (const param of parameters.values()) param.dispose();
    expect(memory(cpu).live).toBe(before);
  });
});

test.each(golden.clipping.map((c, i) => [i, c] as const))("clipping against clip_grad_norm_, case %i", async (_, c) => {
  const before = memory(cpu).live;
  const grads = new Map(
    names.map((n) => [
      n,
      tensor(cpu, "f32", golden.shapes[n].map(String), golden.shapes[n], Float32Array.from(c.gradients[n])),
    ]),
  );
  const result = await clipByGlobalNorm(grads, c.maxNorm);
  // f32 sums of 22 squares against f32 sums in another order
  expect(Math.abs(result.norm - c.norm)).toBeLessThanOrEqual(1e-6 * c.norm);
  expect(result.nonFinite).toEqual([]);
  for (const n of names) expect(worst(await result.grads.get(n)!.read(), c.clipped[n])).toBeLessThan(1e-6);
  for (const grad of result.grads.values()) grad.dispose();
  expect(memory(cpu).live).toBe(before);
});

test("vectors, the ones transformers does not decay, are told by role", () => {
  const matrix = [4, 4];
  for (const name of golden.decay.decayed) expect(defaultRole(name, matrix), name).not.toBe("vector");
  for (const name of golden.decay.notDecayed) expect(defaultRole(name, [4]), name).toBe("vector");
});
