import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { createCpuBackend } from "@ft/backend-cpu";
import { type AnyOptimizer, OptimizerState } from "@ft/optim";
import { type Backend, memory, parameter, sizeOf, tensor } from "@ft/tensor";
import { type Map8bit, maps8bit } from "@ft/tensor/ops";
import { golden } from "@ft/testing";
import { openSafetensors, type WeightSource } from "@ft/weights";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { optimizers8bit } from "../src/index.ts";
import { gradient, initial } from "./problem.ts";

const data = new URL("../../../tools/goldens/data/bnb-optim/", import.meta.url);
interface Golden {
  readonly digest: string;
  readonly shape: readonly number[];
  readonly small: readonly number[];
  readonly runs: { readonly [run: string]: { readonly lr: number } };
}
const { digest, shape, small, runs: theirs } = await golden<Golden>(new URL("cuda.json", data));

interface Run {
  readonly make: (more: { textbook?: boolean; min8bitSize?: number }) => AnyOptimizer;
  /** our slots for bitsandbytes' state1 and state2 */
  readonly slots: readonly (readonly [slot: string, map: Map8bit])[];
}
const run = (name: string, settings: { [key: string]: number }, ...slots: (readonly [string, Map8bit])[]): Run => ({
  make: (more) => optimizers8bit[name]!({ ...settings, ...more }),
  slots,
});
const moments = [
  ["m", "dynamic"],
  ["v", "udynamic"],
] as const;
// The settings of bnb_optim.py in our words.
const runs: { readonly [name: string]: Run } = {
  adam8bit: run("adam8bit", { beta1: 0.8, beta2: 0.95, eps: 1e-4, weightDecay: 0.1 }, ...moments),
  adamw8bit: run("adamw8bit", { weightDecay: 0.1 }, ...moments),
  lion8bit: run("lion8bit", { weightDecay: 0.1 }, ["m", "dynamic"]),
  sgd8bit: run("sgd8bit", { momentum: 0.9, weightDecay: 0.01 }, ["momentum", "dynamic"]),
  rmsprop8bit: run("rmsprop8bit", { alpha: 0.9 }, ["v", "dynamic"]),
  "rmsprop8bit-decay": run("rmsprop8bit", { alpha: 0.99, eps: 1e-3, weightDecay: 0.1 }, ["v", "dynamic"]),
};

type Numbers = ArrayLike<number>;
interface Point {
  readonly param: Numbers;
  readonly slots: ReadonlyMap<string, Numbers>;
}

/** From the start through the gradients of the problem, without anything set right on the way; what is there after `kept`. */
async function walk(
  backend: Backend,
  optimizer: AnyOptimizer,
  {
    lr,
    of,
    kept,
    gradientOf = gradient,
  }: { lr: number; of: readonly number[]; kept: number[]; gradientOf?: typeof gradient },
): Promise<Map<number, Point>> {
  const axes = of.map(String);
  const { live } = memory(backend);
  const param = parameter(backend, "f32", axes, of, initial(sizeOf(of)));
  const state = new OptimizerState(optimizer, new Map([["p", param]]));
  const out = new Map<number, Point>();
  for (let step = 1; step <= Math.max(...kept); step++) {
    await state.step(new Map([["p", tensor(backend, "f32", axes, of, gradientOf(step, sizeOf(of)))]]), { step, lr });
    if (!kept.includes(step)) continue;
    const slots = new Map<string, Numbers>();
    for (const [key, slot] of state.save()) slots.set(key.replace(":p", ""), Array.from(await slot.read(), Number));
    out.set(step, { param: Array.from(await param.read(), Number), slots });
  }
  state.dispose();
  param.dispose();
  expect(memory(backend).live).toBe(live);
  return out;
}

const mean = (xs: readonly number[]): number => xs.reduce((sum, x) => sum + x, 0) / xs.length;
const apart = (a: Numbers, b: Numbers): number[] => Array.from(a, (x, i) => Math.abs(x - (b[i] ?? Number.NaN)));

const open = (device: string) => openSafetensors(fileURLToPath(new URL(`${device}.safetensors`, data)));
let cuda: WeightSource;
beforeAll(async () => {
  cuda = await open("cuda");
});
afterAll(() => cuda.close());

test("start and gradients are those that bitsandbytes was given", () => {
  const n = sizeOf(shape);
  const hash = createHash("sha256").update(new Uint8Array(initial(n).buffer));
  for (let step = 1; step <= 100; step++) hash.update(new Uint8Array(gradient(step, n).buffer));
  expect(hash.digest("hex")).toBe(digest);
});

for (const native of [false, true])
  describe.each(Object.entries(runs))(
    `%s, ${native ? "default kernels" : "reference loops"}`,
    (name, { make, slots }) => {
      const { lr } = theirs[name]!;
      let backend: Backend;
      let ours: Map<number, Point>;
      beforeAll(async () => {
        backend = await createCpuBackend({ native, poison: true });
        ours = await walk(backend, make({}), { lr, of: shape, kept: [1, 100] });
      });

      // The bars of bitsandbytes' tests/test_optim.py, test_optimizer8bit, which are the same for all of them and for one
      // step from a common state: fewer than 20 state elements off at atol 3e-3, rtol 1e-3; mean error of the parameter
      // below 6e-5, relative below 6e-4.
      test.each([1, 100])("after step %i, within the bars of bitsandbytes' own test", async (step) => {
        const { param, slots: own } = ours.get(step)!;
        const want = await cuda.read(`${name}.param.${step}`, "f32");
        const error = apart(param, want);
        expect(mean(error)).toBeLessThan(6e-5);
        expect(mean(error.map((x, i) => x / (Math.abs(want[i]!) + 1e-9)))).toBeLessThan(6e-4);
        for (const [i, [slot, map]] of slots.entries()) {
          const decoded = (codes: Numbers, absmax: Numbers): number[] =>
            Array.from(codes, (code, at) => maps8bit[map][code]! * absmax[Math.floor(at / 256)]!);
          const a = decoded(own.get(slot)!, own.get(`${slot}.absmax`)!);
          const state = await cuda.read(`${name}.state${i + 1}.${step}`, "u8");
          const b = decoded(state, await cuda.read(`${name}.absmax${i + 1}.${step}`, "f32"));
          const off = apart(a, b).filter((x, at) => !(x <= 3e-3 + 1e-3 * Math.abs(b[at]!)));
          expect(off.length, slot).toBeLessThan(20);
        }
      });

      // A hundred steps are walked without bringing the two together again. A code may still fall on the other side of a
      // bound, where one multiplication is rounded otherwise: seen in one of 4655. absmax: CUDA has 1 - beta2 in f32,
      // which is 1.3e-5 off for 0.999.
      test.each([1, 100])("after step %i, the same codes but for two, those beside theirs", async (step) => {
        for (const [i, [slot]] of slots.entries()) {
          const codes = await cuda.read(`${name}.state${i + 1}.${step}`, "u8");
          const differ = apart(ours.get(step)!.slots.get(slot)!, codes).filter((x) => x > 0);
          expect(differ.length, slot).toBeLessThanOrEqual(2);
          expect(Math.max(0, ...differ), slot).toBeLessThanOrEqual(1);
          const absmax = await cuda.read(`${name}.absmax${i + 1}.${step}`, "f32");
          const error = apart(ours.get(step)!.slots.get(`${slot}.absmax`)!, absmax);
          expect(Math.max(...error.map((x, at) => x / (absmax[at]! || 1))), `${slot}.absmax`).toBeLessThan(2e-5);
        }
      });

      test("fewer elements than min8bitSize keep f32 state, in bitsandbytes' order", async () => {
        const point = (await walk(backend, make({}), { lr, of: small, kept: [100] })).get(100)!;
        // the bias corrections are f32 there: 1 - 0.999 as above, half of that in its root, 100 steps of at most lr
        expect(Math.max(...apart(point.param, await cuda.read(`${name}.small.param.100`, "f32")))).toBeLessThan(1e-5);
        for (const [i, [slot]] of slots.entries()) {
          const want = await cuda.read(`${name}.small.state${i + 1}.100`, "f32");
          const scale = Math.max(...Array.from(want, Math.abs));
          expect(Math.max(...apart(point.slots.get(slot)!, want)) / scale, slot).toBeLessThan(2e-5);
          expect(point.slots.has(`${slot}.absmax`)).toBe(false);
        }
      });
    },
  );

// bitsandbytes' CPU backend has torch's order, so that it is a witness for the switch. Its Adam has a decoupled decay
// there too, unlike torch's: our adam8bit follows torch.
test.each(["adamw8bit", "lion8bit", "sgd8bit", "rmsprop8bit-decay"])(
  "%s with textbook: true is what bitsandbytes' CPU backend computes",
  async (name) => {
    const backend = await createCpuBackend({ native: false });
    await using cpu = await open("cpu");
    const want = await cpu.read(`${name}.small.param.100`, "f32");
    const after = async (textbook: boolean): Promise<number> => {
      const walked = await walk(backend, runs[name]!.make({ textbook }), {
        lr: theirs[name]!.lr,
        of: small,
        kept: [100],
      });
      return Math.max(...apart(walked.get(100)!.param, want));
    };
    expect(await after(true)).toBeLessThan(1e-6);
    // and the switch matters
    if (name === "adamw8bit") expect(await after(false)).toBeGreaterThan(1e-5);
  },
);

test("elements whose gradient is not finite keep their value and lose their moments", async () => {
  const backend = await createCpuBackend({ native: false });
  const optimizer = optimizers8bit.adamw8bit({ weightDecay: 0.1, min8bitSize: 0 });
  const bad = new Map([
    [7, Number.NaN],
    [100, Number.POSITIVE_INFINITY],
    [270, Number.NEGATIVE_INFINITY],
  ]);
  const gradientOf: typeof gradient = (step, n) =>
    gradient(step, n).map((g, i) => (step === 3 ? (bad.get(i) ?? g) : g));
  const { param, slots } = (await walk(backend, optimizer, { lr: 1e-2, of: [300], kept: [6], gradientOf })).get(6)!;
  const error = apart(param, await cuda.read("adamw8bit.nonfinite.param.6", "f32"));
  expect(Math.max(...error)).toBeLessThan(1e-5);
  for (const [i, [slot]] of moments.entries()) {
    const codes = await cuda.read(`adamw8bit.nonfinite.state${i + 1}.6`, "u8");
    expect(apart(slots.get(slot)!, codes).filter((x) => x > 0)).toEqual([]);
  }
});
