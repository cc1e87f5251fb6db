import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import { FtError, memory, type Parameter, parameter, type Tensor, tensor } from "@ft/tensor";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { adamw } from "./adamw/adamw.ts";
import { clipByGlobalNorm } from "./clip/clip.ts";
import { globalNorm } from "./clip/global-norm.ts";
import { withGroups } from "./groups/groups.ts";
import type { AnyOptimizer } from "./optimizer.ts";
import { optimizers } from "./optimizers.ts";
import { defaultRole } from "./role.ts";
import { readScalars, wideScalar } from "./scalars.ts";
import { sgd } from "./sgd/sgd.ts";
import { OptimizerState } from "./state.ts";

let cpu: CpuBackend;
let parameters: Map<string, Parameter>;
beforeEach(async () => {
  cpu = await createCpuBackend({ native: false, poison: true });
  parameters = new Map<string, Parameter>([
    ["up.weight", parameter(cpu, "f32", ["out", "in"], [2, 2], Float32Array.of(1, 2, 3, 4))],
    ["norm.weight", parameter(cpu, "f32", ["in"], [2], Float32Array.of(1, 1))],
  ]);
});
afterEach(() => {
  for (const param of parameters.values()) param.dispose();
  expect(memory(cpu).live).toBe(0);
});
const ones = (name: string): Tensor => {
  const { axes, shape } = parameters.get(name)!;
  return tensor(cpu, "f32", axes, shape, new Float32Array(shape.reduce((n, d) => n * d, 1)).fill(1));
};
const gradients = (...names: string[]): Map<string, Tensor> => new Map(names.map((name) => [name, ones(name)]));
const dispose = (tensors: ReadonlyMap<string, Tensor>): void => {
  for (const x of tensors.values()) x.dispose();
};
const numbers = async (name: string) => Array.from(await parameters.get(name)!.read());

/** Steps all parameters once with gradients of one. */
async function step(state: OptimizerState, n: number, names = [...parameters.keys()]): Promise<void> {
  await state.step(gradients(...names), { step: n, lr: 0.1 });
}

describe("state", () => {
  test("slots are named <slot>:<parameter>, and a load goes on to the bit", async () => {
    using first = new OptimizerState(adamw(), parameters);
    for (let n = 1; n <= 3; n++) await step(first, n);
    const saved = first.save();
    expect([...saved.keys()]).toEqual(["m:up.weight", "v:up.weight", "m:norm.weight", "v:norm.weight"]);
    const copies = new Map<string, Tensor>();
    for (const [key, x] of saved)
      copies.set(key, tensor(cpu, "f32", x.axes, x.shape, Float32Array.from(await x.read(), Number)));
    const before = await numbers("up.weight");
    await step(first, 4);
    const straight = await numbers("up.weight");

    using second = new OptimizerState(adamw(), parameters);
    await second.load(copies);
    dispose(copies);
    parameters.get("up.weight")?.write(Float32Array.from(before));
    await step(second, 4);
    expect(await numbers("up.weight")).toEqual(straight);
  });

  test("a load that does not fit changes nothing and says what is wrong", async () => {
    using state = new OptimizerState(sgd({ momentum: 0.9 }), parameters);
    const slot = (shape: readonly number[]) =>
      tensor(cpu, "f32", shape.map(String), shape, new Float32Array(shape.reduce((n, d) => n * d, 1)));
    await step(state, 1);
    const before = new Map<string, number[]>();
    for (const [key, x] of state.save()) before.set(key, Array.from(await x.read(), Number));
    const cases: [Map<string, Tensor>, string, RegExp][] = [
      [new Map([["momentum:up.weight", slot([2, 2])]]), "missing", /has no "momentum:norm.weight"/],
      [
        new Map([
          ["momentum:up.weight", slot([2, 3])],
          ["momentum:norm.weight", slot([2])],
        ]),
        "shape",
        /"momentum:up.weight" is f32 2×3 = 2×3, not f32 out×in = 2×2/,
      ],
      [
        new Map([
          ["momentum:up.weight", slot([2, 2])],
          ["momentum:norm.weight", slot([2])],
          ["v:norm.weight", slot([2])],
        ]),
        "input",
        /has "v:norm.weight", which sgd does not have/,
      ],
    ];
    for (const [saved, code, message] of cases) {
      let error: unknown;
      try {
        await state.load(saved);
      } catch (reason) {
        error = reason;
      }
      expect(error).toBeInstanceOf(FtError);
      expect(error instanceof FtError && error.code).toBe(code);
      expect(String(error)).toMatch(message);
      for (const [key, x] of state.save()) expect(Array.from(await x.read(), Number), key).toEqual(before.get(key));
      dispose(saved);
    }
  });

  test("a parameter without a gradient stays, and so do its slots", async () => {
    using state = new OptimizerState(adamw(), parameters);
    await step(state, 1, ["up.weight"]);
    expect(await numbers("norm.weight")).toEqual([1, 1]);
    expect(Array.from(await state.save().get("m:norm.weight")!.read(), Number)).toEqual([0, 0]);
    expect(await numbers("up.weight")).not.toEqual([1, 2, 3, 4]);
  });
});

describe("weight decay by role", () => {
  // Without a gradient only the decay moves a weight: by lr · λ of itself.
  test("decayVectors: false leaves norms alone", async () => {
    using state = new OptimizerState(adamw({ weightDecay: 0.5, decayVectors: false }), parameters);
    const zero = new Map<string, Tensor>(
      [...parameters].map(([name, { axes, shape }]) => [
        name,
        tensor(cpu, "f32", axes, shape, new Float32Array(shape.reduce((n, d) => n * d, 1))),
      ]),
    );
    await state.step(zero, { step: 1, lr: 0.1 });
    expect(await numbers("norm.weight")).toEqual([1, 1]);
    expect((await numbers("up.weight"))[3]).toBeCloseTo(4 * 0.95, 6);
  });

  test.each([
    ["model.layers.0.self_attn.q_proj.weight", [8, 8], "matrix"],
    ["model.layers.0.input_layernorm.weight", [8], "vector"],
    ["model.layers.0.self_attn.q_proj.bias", [8], "vector"],
    ["model.embed_tokens.weight", [96, 8], "embedding"],
    ["lm_head.weight", [96, 8], "head"],
    ["base_model.model.model.layers.0.mlp.up_proj.lora_A.weight", [4, 8], "adapter"],
    ["base_model.model.lm_head.lora_B.weight", [96, 4], "adapter"],
  ] as const)("%s, %o, is a %s", (name, shape, role) => {
    expect(defaultRole(name, shape)).toBe(role);
  });
});

test("groups: each parameter by the first group that matches, with its own slots and scalars", async () => {
  const optimizer = withGroups({
    groups: [
      { match: (_, role) => role === "vector", optimizer: sgd() },
      { match: () => true, optimizer: adamw({ weightDecay: 0 }) },
    ],
    otherwise: sgd({ momentum: 0.9 }),
  });
  expect(optimizer.name).toBe("groups(sgd,adamw,sgd)");
  using state = new OptimizerState(optimizer, parameters);
  expect([...state.save().keys()]).toEqual(["m:up.weight", "v:up.weight"]);
  await step(state, 1);
  expect(await numbers("norm.weight")).toEqual([Math.fround(0.9), Math.fround(0.9)]);
  expect((await numbers("up.weight"))[0]).toBeCloseTo(0.9, 6); // Adam's first step is lr, whatever the gradient
});

test("groups depend on as many neighbours as all their members do, and on the whole tensor where these differ", () => {
  const of = (...groups: (number | undefined)[]): AnyOptimizer[] =>
    groups.map((group) => ({ ...sgd(), ...(group !== undefined && { group }), nonNegative: ["v", `n${group}`] }));
  const grouped = (otherwise: AnyOptimizer, ...members: AnyOptimizer[]): AnyOptimizer =>
    withGroups({ groups: members.map((optimizer) => ({ match: () => false, optimizer })), otherwise });
  const [plain, one, other, none] = of(256, 256, 1, undefined);
  expect(grouped(plain!, one!).group).toBe(256);
  expect(grouped(plain!, one!).nonNegative).toEqual(["v", "n256"]);
  expect(grouped(plain!, other!)).not.toHaveProperty("group");
  expect(grouped(plain!, other!).nonNegative).toEqual(["v"]);
  expect(grouped(plain!, none!)).not.toHaveProperty("group");
});

test("the global norm names the gradients that are not finite, and clipping leaves them", async () => {
  const grads = gradients("up.weight", "norm.weight");
  grads.get("norm.weight")?.dispose();
  grads.set("norm.weight", tensor(cpu, "f32", ["in"], [2], Float32Array.of(1, Number.NaN)));
  const result = await globalNorm(grads);
  expect(result).toEqual({ norm: Number.NaN, nonFinite: ["norm.weight"] });
  const clipped = await clipByGlobalNorm(grads, 0.1);
  expect(clipped.grads).toBe(grads);
  dispose(grads);
});

test("half-precision gradients are clipped with a factor in f32", async () => {
  // bf16 of 3 and 4: norm 5; the factor 0.2 - 4e-8 is no bf16 number
  const grad = tensor(cpu, "bf16", ["x"], [2], Uint16Array.of(0x4040, 0x4080));
  const { norm, grads } = await clipByGlobalNorm(new Map([["x", grad]]), 1);
  expect(norm).toBe(5);
  // 0.6 and 0.8, rounded once
  expect(Array.from(await grads.get("x")!.read(), Number)).toEqual([0x3f1a, 0x3f4d]);
  dispose(grads);
});

test("many scalars in one read, in order and in f64 where one of them is", async () => {
  const xs = [wideScalar(cpu, "f32", 0.5), wideScalar(cpu, "f64", 1 / 3), wideScalar(cpu, "f32", -2)];
  expect(await readScalars(xs)).toEqual([0.5, 1 / 3, -2]);
  expect(await readScalars([])).toEqual([]);
  const wrong = tensor(cpu, "f32", ["x"], [2], Float32Array.of(1, 2));
  await expect(readScalars([wrong])).rejects.toThrow(/pass 0-d tensors/);
  for (const x of [...xs, wrong]) x.dispose();
});

describe("settings from configuration files", () => {
  const make = (name: string, settings: { readonly [key: string]: unknown }): AnyOptimizer =>
    optimizers[name]!(settings);
  test.each([
    ["adamw", { beta3: 1 }, /adamw has no setting "beta3"; it has beta1, beta2, eps/],
    ["adamw", { beta1: "0.9" }, /adamw.beta1 is "0.9"; give a number/],
    ["adamw", { beta1: 1 }, /adamw.beta1 is 1; give a number of at least 0, below 1/],
    ["adamw", { beta2: -0.1 }, /adamw.beta2 is -0.1/],
    ["adamw", { eps: Number.NaN }, /adamw.eps is NaN/],
    ["sgd", { nesterov: 1 }, /sgd.nesterov is 1; give true or false/],
    ["sgd", { nesterov: true }, /sgd.nesterov is true, sgd.momentum is 0/],
    ["sgd", { weightDecay: -1 }, /sgd.weightDecay is -1/],
  ] as const)("%s %o", (name, settings, message) => {
    expect(() => make(name, settings)).toThrow(message);
  });
  test("what is left out or undefined has its default", () => {
    expect(make("adamw", { beta1: undefined }).scalars({ step: 1, lr: 1 }).correction1).toBeCloseTo(0.1, 12);
  });
});
