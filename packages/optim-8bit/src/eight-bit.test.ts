import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import {
  type AnyOptimizer,
  adamw,
  OptimizerState,
  type OptimizerStateOptions,
  optimizers,
  type Place,
  type Slots,
  withMasterWeights,
} from "@ft/optim";
import { FtError, memory, type Parameter, parameter, sizeOf, type Tensor, tensor, zeros } from "@ft/tensor";
import { dequantize8bit } from "@ft/tensor/ops";
import { encode, randomFrom } from "@ft/testing";
import { openSafetensors, writeSafetensors } from "@ft/weights";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { eightBit } from "./eight-bit.ts";
import { optimizers8bit } from "./optimizers-8bit.ts";

let cpu: CpuBackend;
let folder: string;
let parameters: Map<string, Parameter>;
const shape = [70, 60]; // 16 blocks of 256 and one of 104
beforeAll(async () => {
  cpu = await createCpuBackend({ native: false, poison: true });
  folder = await mkdtemp(join(tmpdir(), "ft-8bit-"));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  parameters = fresh();
});
afterEach(() => {
  for (const param of parameters.values()) param.dispose();
  expect(memory(cpu).live).toBe(0);
});

const normals = (seed: number, n: number): Float32Array<ArrayBuffer> => {
  const random = randomFrom(seed);
  return Float32Array.from({ length: n }, () => random.normal());
};
const fresh = (): Map<string, Parameter> =>
  new Map<string, Parameter>([
    ["up.weight", parameter(cpu, "f32", ["out", "in"], shape, normals(1, sizeOf(shape)))],
    ["norm.weight", parameter(cpu, "f32", ["in"], [60], normals(2, 60))],
  ]);
const dispose = (all: ReadonlyMap<string, Parameter>): void => {
  for (const param of all.values()) param.dispose();
};

/** Steps `first` to `last` with gradients that depend on the step alone. */
async function walk(state: OptimizerState, all: ReadonlyMap<string, Parameter>, [first, last]: [number, number]) {
  for (let step = first; step <= last; step++) {
    const grads = new Map(
      [...all].map(([name, { axes, shape }], i) => [
        name,
        tensor(cpu, "f32", axes, shape, normals(10 * step + i, sizeOf(shape))),
      ]),
    );
    await state.step(grads, { step, lr: 0.01 });
  }
}

/** Everything that a run leaves, parameter by parameter and slot by slot. */
async function contents(state: OptimizerState, all: ReadonlyMap<string, Parameter>) {
  const out = new Map<string, number[]>();
  for (const [name, x] of [...all, ...state.save()]) out.set(name, Array.from(await x.read(), Number));
  return out;
}

describe("slots", () => {
  test("codes in the parameter's shape and a magnitude for each block; small parameters keep floats", async () => {
    using state = new OptimizerState(optimizers8bit.adamw8bit({}), parameters);
    const layout = [...state.save()].map(([key, { dtype, axes, shape }]) => [key, dtype, axes.join(), shape.join()]);
    expect(layout).toEqual([
      ["m:up.weight", "u8", "out,in", "70,60"],
      ["m.absmax:up.weight", "f32", "block", "17"],
      ["v:up.weight", "u8", "out,in", "70,60"],
      ["v.absmax:up.weight", "f32", "block", "17"],
      ["m:norm.weight", "f32", "in", "60"],
      ["v:norm.weight", "f32", "in", "60"],
    ]);
    for (const slot of ["m", "v"])
      expect(new Set(await state.save().get(`${slot}.absmax:up.weight`)!.read())).toEqual(new Set([0]));
    await walk(state, parameters, [1, 2]);
    expect([...state.save()].map(([key, { dtype, axes, shape }]) => [key, dtype, axes.join(), shape.join()])).toEqual(
      layout,
    );
  });

  test.each([
    [undefined, 4095, "f32"],
    [undefined, 4096, "u8"],
    [0, 1, "u8"],
    [100, 99, "f32"],
    [100, 100, "u8"],
  ])("min8bitSize %o, %i elements: %s", (min8bitSize, size, dtype) => {
    const param = parameter(cpu, "f32", ["x"], [size], new Float32Array(size));
    using state = new OptimizerState(
      eightBit(adamw(), { ...(min8bitSize !== undefined && { min8bitSize }) }),
      new Map([["x", param]]),
    );
    expect(state.save().get("m:x")?.dtype).toBe(dtype);
    param.dispose();
  });

  test("f64 parameters are stepped in f64 between their codes", async () => {
    const param = parameter(cpu, "f64", ["x"], [5], Float64Array.of(1, 2, 3, 4, 5));
    using state = new OptimizerState(optimizers8bit.lion8bit({ min8bitSize: 0 }), new Map([["x", param]]));
    const grad = tensor(cpu, "f64", ["x"], [5], Float64Array.of(1, -1, 0, 2, -2));
    await state.step(new Map([["x", grad]]), { step: 1, lr: 0.1 });
    expect(Array.from(await param.read(), Number)).toEqual([1 - 0.1, 2 + 0.1, 3, 4 - 0.1, 5 + 0.1]);
    expect(state.save().get("m:x")?.dtype).toBe("u8");
    param.dispose();
  });
});

test("the step is the inner optimizer's on the decoded slots, from moments that are not rounded", async () => {
  const codec = optimizers8bit.adamw8bit({ textbook: true });
  const inner = optimizers.adamw!({});
  using state = new OptimizerState(codec, parameters);
  await walk(state, parameters, [1, 3]);
  const saved = state.save();
  const name = "up.weight";
  const axes = ["out", "in"] as const;
  const slots = new Map<string, Tensor>();
  for (const slot of ["m", "v"]) {
    using codes = tensor(cpu, "u8", axes, shape, Uint8Array.from(await saved.get(`${slot}:${name}`)!.read(), Number));
    const held = saved.get(`${slot}.absmax:${name}`)!;
    using absmax = tensor(cpu, "f32", ["block"], held.shape, Float32Array.from(await held.read(), Number));
    slots.set(`${slot}:${name}`, dequantize8bit(codes, absmax, { map: slot === "m" ? "dynamic" : "udynamic" }));
  }
  const start = parameters.get(name)!;
  const twin = new Map([[name, parameter(cpu, "f32", axes, shape, Float32Array.from(await start.read(), Number))]]);
  using floats = new OptimizerState(inner, twin);
  await floats.load(slots);
  for (const x of slots.values()) x.dispose();
  await walk(floats, twin, [4, 4]);
  await walk(state, parameters, [4, 4]);
  expect(await twin.get(name)!.read()).toEqual(await start.read());
  dispose(twin);
});

describe("saving and places", () => {
  const save = async (path: string, state: OptimizerState): Promise<void> =>
    writeSafetensors(
      path,
      [...state.save()].map(([name, { dtype, shape, read }]) => ({ name, dtype, shape, data: read })),
    );

  test.each(Object.keys(optimizers8bit))("%s goes on from a file to the bit", async (name) => {
    const path = join(folder, `${name}.safetensors`);
    using first = new OptimizerState(optimizers8bit[name]!({}), parameters);
    await walk(first, parameters, [1, 3]);
    await save(path, first);
    const others = fresh();
    for (const [key, param] of parameters) others.get(key)!.write(Float32Array.from(await param.read(), Number));
    await walk(first, parameters, [4, 6]);

    using second = new OptimizerState(optimizers8bit[name]!({}), others);
    await using source = await openSafetensors(path);
    const stored = [...source.tensors.values()].filter(({ name }) => !name.includes("absmax") && name.includes("up."));
    expect(stored.map(({ dtype }) => dtype)).toEqual(stored.map(() => "U8"));
    const own = second.save();
    await second.load(
      new Map(
        [...source.tensors.keys()].map((key) => {
          const { dtype, axes, shape } = own.get(key)!;
          return [key, { dtype, axes, shape, read: () => source.read(key, dtype) }];
        }),
      ),
    );
    await walk(second, others, [4, 6]);
    expect(await contents(second, others)).toEqual(await contents(first, parameters));
    dispose(others);
  });

  test("state of another kind is refused by name", async () => {
    using floats = new OptimizerState(optimizers.adamw!({}), parameters);
    using codes = new OptimizerState(optimizers8bit.adamw8bit({}), parameters);
    await expect(codes.load(floats.save())).rejects.toThrow(/"m:up.weight" is f32 .* not u8/);
    await expect(floats.load(codes.save())).rejects.toThrow(/"m:up.weight" is u8 .* not f32/);
  });

  const places: [string, OptimizerStateOptions][] = [
    ["host memory", { placement: "host" }],
    ["windows of two blocks", { window: 600 }],
    ["windows in host memory", { placement: "host", window: 300 }],
  ];
  test.each(Object.keys(optimizers8bit))("%s is the same in host memory, in a file and in windows", async (name) => {
    using plain = new OptimizerState(optimizers8bit[name]!({}), parameters);
    await walk(plain, parameters, [1, 5]);
    const want = await contents(plain, parameters);
    for (const [place, options] of [...places, ["a file", { placement: { file: folder }, window: 512 }] as const]) {
      const others = fresh();
      using state = new OptimizerState(optimizers8bit[name]!({}), others, options);
      await walk(state, others, [1, 5]);
      expect(await contents(state, others), place).toEqual(want);
      dispose(others);
    }
  });
});

describe("around other optimizers", () => {
  /** Counts its steps in a slot of one element, and evaluates at half the value plus the momentum. */
  const counting: AnyOptimizer = {
    name: "counting",
    init: ({ param }) => ({
      m: zeros(cpu, "f32", param.axes, param.shape),
      steps: tensor(cpu, "i32", [], [], Int32Array.of(7)),
    }),
    scalars: () => ({}),
    step: ({ param, grad, slots }) => ({ param, slots: { m: grad.as(...grad.axes), steps: slots.steps! } }),
    evaluated: ({ slots }: Place & { slots: Slots }) => {
      const m: Tensor<any> = slots.m!;
      return m.as(...m.axes);
    },
  };

  test("slots that are not one float per element pass through, evaluation sees floats", async () => {
    const codec = eightBit(counting, { min8bitSize: 100 });
    expect([codec.name, codec.group]).toEqual(["counting8bit", undefined]);
    using state = new OptimizerState(codec, parameters);
    await walk(state, parameters, [1, 1]);
    const dtypes = [...state.save()].map(([key, { dtype }]) => `${key} ${dtype}`);
    expect(dtypes).toEqual([
      "m:up.weight u8",
      "m.absmax:up.weight f32",
      "steps:up.weight i32",
      "m:norm.weight f32",
      "steps:norm.weight i32",
    ]);
    const given = normals(10, sizeOf(shape));
    await state.evaluating(async () => {
      const seen = await parameters.get("up.weight")!.read();
      // neighbours in the map are at most 1/64 of the block's largest apart, which is below 5
      expect(Math.max(...given.map((g, i) => Math.abs(g - Number(seen[i]))))).toBeLessThan(5 / 128);
      expect(Array.from(await parameters.get("norm.weight")!.read(), Number)).toEqual([...normals(11, 60)]);
    });
  });

  test("master weights go outside", async () => {
    expect(() => eightBit(withMasterWeights(adamw()))).toThrow(/master weights/);
    const halves = encode("bf16", normals(1, 4200));
    const param = parameter(cpu, "bf16", ["out", "in"], shape, Uint16Array.from(halves));
    using state = new OptimizerState(withMasterWeights(eightBit(adamw())), new Map([["w", param]]));
    await state.step(new Map([["w", tensor(cpu, "bf16", ["out", "in"], shape, Uint16Array.from(halves))]]), {
      step: 1,
      lr: 1e-3,
    });
    const dtypes = [...state.save()].map(([key, { dtype }]) => `${key} ${dtype}`);
    expect(dtypes).toEqual(["m:w u8", "m.absmax:w f32", "v:w u8", "v.absmax:w f32", "master:w f32"]);
    param.dispose();
  });

  test("settings that cannot be are refused by name", () => {
    const refusals: [() => unknown, RegExp][] = [
      [() => eightBit(adamw(), { blockSize: 100 }), /adamw8bit.blockSize is 100/],
      [() => eightBit(adamw(), { min8bitSize: -1 }), /adamw8bit.min8bitSize is -1/],
      [() => optimizers8bit.lion8bit({ min8bitSize: 0.5 }), /lion8bit.min8bitSize is 0.5/],
      [() => optimizers8bit.adamw8bit({ momentum: 0.9 }), /adamw8bit has no setting "momentum"/],
      [() => optimizers8bit.adamw8bit({ bitsandbytesOrder: true }), /has no setting "bitsandbytesOrder"/],
      [() => optimizers8bit.adamw8bit({ textbook: "yes" }), /adamw8bit.textbook is "yes"/],
      [() => optimizers8bit.rmsprop8bit({ centered: true }), /rmsprop8bit has no setting "centered"/],
      [() => optimizers8bit.sgd8bit({ momentum: 0 }), /sgd8bit.momentum is 0/],
      [() => optimizers8bit.adam8bit({ beta1: 1 }), /adam.beta1 is 1/],
    ];
    for (const [make, message] of refusals) {
      let error: unknown;
      try {
        make();
      } catch (reason) {
        error = reason;
      }
      expect(FtError.is(error) && error.code).toBe("config");
      expect(String(error)).toMatch(message);
    }
  });
});
