import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import {
  bf16ToF32,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  memory,
  type Parameter,
  parameter,
  philoxNormal,
  type Tensor,
  tensor,
  zeros,
} from "@ft/tensor";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { adamw } from "../adamw/adamw.ts";
import { withGroups } from "../groups/groups.ts";
import type { AnyOptimizer } from "../optimizer.ts";
import { sgd } from "../sgd/sgd.ts";
import { OptimizerState } from "../state.ts";
import { withMasterWeights } from "./master.ts";

const count = 300;
const halves = {
  bf16: { narrow: f32ToBf16, wide: bf16ToF32 },
  f16: { narrow: f32ToF16, wide: f16ToF32 },
};
type Half = keyof typeof halves;
function bits(dtype: Half, values: Float32Array): Uint16Array<ArrayBuffer> {
  const out = new Uint16Array(values.length);
  halves[dtype].narrow(Float32Array.from(values), out);
  return out;
}
const draw = (stream: number, scale: number): Float32Array<ArrayBuffer> => {
  const normal = philoxNormal(5, stream, 0);
  return Float32Array.from({ length: count }, (_, i) => normal(i) * scale);
};

let cpu: CpuBackend;
beforeEach(async () => {
  cpu = await createCpuBackend({ native: false, poison: true });
});
afterEach(() => expect(memory(cpu).live).toBe(0));

/** Twenty small steps of one parameter; its values and slots. */
async function train(optimizer: AnyOptimizer, param: Parameter, grad: (step: number) => Tensor) {
  using state = new OptimizerState(optimizer, new Map([["w", param]]));
  for (let step = 1; step <= 20; step++) await state.step(new Map([["w", grad(step)]]), { step, lr: 1e-4 });
  const slots = new Map<string, ArrayLike<number>>();
  for (const [key, x] of state.save()) slots.set(key, (await x.read()).slice());
  const values = await param.read();
  param.dispose();
  return { values, slots };
}

describe.each(["bf16", "f16"] as const)("master weights of %s parameters", (dtype) => {
  const { wide } = halves[dtype];
  const start = bits(dtype, draw(0, 1));
  const gradients = Array.from({ length: 20 }, (_, i) => bits(dtype, draw(i + 1, 0.1)));
  const half = (data: Uint16Array<ArrayBuffer>) => parameter(cpu, dtype, ["x"], [count], data);
  const halfGrad = (step: number): Tensor => tensor(cpu, dtype, ["x"], [count], gradients[step - 1]!);

  test("are what f32 training of the same numbers gives, to the bit; the parameter is their rounding", async () => {
    const f32 = await train(adamw(), parameter(cpu, "f32", ["x"], [count], wide(start)), (step) =>
      tensor(cpu, "f32", ["x"], [count], wide(gradients[step - 1]!)),
    );
    const ours = await train(withMasterWeights(adamw()), half(start), halfGrad);
    expect(ours.slots.get("master:w")).toEqual(f32.values);
    expect(ours.slots.get("m:w")).toEqual(f32.slots.get("m:w"));
    expect(ours.slots.get("v:w")).toEqual(f32.slots.get("v:w"));
    expect(ours.values).toEqual(bits(dtype, Float32Array.from(f32.values)));
  });

  test("keep updates that the parameter's spacing would swallow", async () => {
    const ours = await train(withMasterWeights(sgd()), half(start), halfGrad);
    const without = await train(sgd(), half(start), halfGrad);
    const master = Float32Array.from(ours.slots.get("master:w")!);
    // An exact sum in f64 is the witness. f32 masters lose at most twenty roundings of numbers up to 4.
    const exact = Array.from(wide(start), (x, i) => gradients.reduce((sum, g) => sum - 1e-4 * wide(g)[i]!, x));
    const worst = (values: ArrayLike<number>) => Math.max(...exact.map((x, i) => Math.abs(values[i]! - x)));
    expect(worst(master)).toBeLessThan(20 * 2 ** -23);
    expect(worst(wide(Uint16Array.from(without.values)))).toBeGreaterThan(1e-4);
  });
});

test("wide parameters have none", async () => {
  const param = parameter(cpu, "f32", ["x"], [count], draw(0, 1));
  const grad = (step: number): Tensor => tensor(cpu, "f32", ["x"], [count], draw(step, 0.1));
  const ours = await train(withMasterWeights(adamw()), param, grad);
  const plain = await train(adamw(), parameter(cpu, "f32", ["x"], [count], draw(0, 1)), grad);
  expect(ours).toEqual(plain);
  expect([...ours.slots.keys()]).toEqual(["m:w", "v:w"]);
});

test("say that they are kept, alone and in groups, and what of the inner optimizer holds for windows", () => {
  const kept = withMasterWeights({ ...adamw(), group: 64 });
  expect(kept).toMatchObject({ name: "masters(adamw)", keepsMasters: true, group: 64, nonNegative: ["v"] });
  const groups = (otherwise: AnyOptimizer): AnyOptimizer =>
    withGroups({ groups: [{ match: () => true, optimizer: kept }], otherwise });
  expect(groups(withMasterWeights(sgd())).keepsMasters).toBe(true);
  expect(groups(sgd()).keepsMasters).toBeUndefined();
});

test("what an averaging optimizer evaluates is rounded from its own wide value", async () => {
  const averaging: AnyOptimizer = {
    ...sgd(),
    init: ({ param }) => ({ average: zeros(param.backend, "f32", param.axes, param.shape) }),
    step: ({ param, slots }) => ({ param, slots }),
    evaluated: ({ slots }) => slots.average as Tensor<"f32">,
  };
  const param = parameter(cpu, "bf16", ["x"], [2], Uint16Array.of(0x3f80, 0x4000));
  const state = new OptimizerState(withMasterWeights(averaging), new Map([["w", param]]));
  const during = await state.evaluating(async () => Array.from(await param.read()));
  expect(during).toEqual([0, 0]);
  expect(Array.from(await param.read())).toEqual([0x3f80, 0x4000]);
  state.dispose();
  param.dispose();
});

test("an optimizer that has such a slot already is refused", () => {
  const param = parameter(cpu, "bf16", ["x"], [2], Uint16Array.of(1, 2));
  const twice = withMasterWeights({ ...sgd(), init: ({ param }) => ({ master: param.as(...param.axes) }) });
  expect(() => new OptimizerState(twice, new Map([["w", param]]))).toThrow(/has a slot "master" already/);
  param.dispose();
});
