import { type Backend, type FloatDType, FtError, memory, sameShape } from "@ft/tensor";
import { expectEqual } from "../close.ts";
import type { HostTensor } from "../host.ts";
import { normals } from "../ops/op-case.ts";
import { randomFrom } from "../random.ts";
import { type OptimizerLike, type Point, roles, startOf, stepOnce } from "./optimizer-drive.ts";
import { during, lazily, type Runner } from "./runner.ts";

export type { OptimizerLike } from "./optimizer-drive.ts";

/** An optimizer with its defaults, or with settings by name. */
export type OptimizerTable = {
  readonly [name: string]: (settings: { readonly [setting: string]: unknown }) => OptimizerLike;
};

/**
 * What every optimizer of a table must do, whatever its mathematics: find a minimum, keep dtypes and shapes, resume from
 * saved slots to the bit, leave what it was not given alone, and leak nothing.
 * @param settings further settings to test by optimizer, beside the defaults
 */
export function optimizerConformance(
  optimizers: OptimizerTable,
  makeBackend: () => Backend | Promise<Backend>,
  settings: { readonly [name: string]: readonly { readonly [setting: string]: unknown }[] },
  runner: Runner,
): void {
  const backend = lazily(makeBackend);
  for (const [name, make] of Object.entries(optimizers))
    for (const set of [{}, ...(settings[name] ?? [])])
      runner.describe(`${name} ${JSON.stringify(set)}`, () => {
        const checked = (title: string, body: (backend: Backend, optimizer: OptimizerLike) => Promise<void>): void =>
          runner.it(title, async () => {
            const on = await backend();
            const { live } = memory(on);
            await body(on, make(set));
            if (memory(on).live !== live)
              throw new FtError(
                "numeric",
                `${memory(on).live - live} buffers leaked`,
                "dispose or return what step makes",
              );
          });
        checked("is called by its name in the table", async (_, optimizer) => {
          if (optimizer.name !== name)
            throw new FtError("config", `"${name}" makes an optimizer called "${optimizer.name}"`, "use one name");
        });
        checked("finds the minimum of a quadratic", findsMinimum);
        checked("keeps dtype, shape and axes of parameter and slots, in every role", keepsSpecs);
        checked("goes on from saved slots as if it had not stopped, to the bit", resumes);
        checked("gives the same whether buffers are its own or held by others, and leaves those alone", isPure);
        checked("has finite scalars that depend on step and lr alone", hasScalars);
      });
}

function matrix(dtype: FloatDType, seed: number): HostTensor {
  return normals(randomFrom(seed, 11), dtype, ["out", "in"], [5, 7]);
}

async function findsMinimum(backend: Backend, optimizer: OptimizerLike): Promise<void> {
  const [start, target] = [matrix("f32", 1), matrix("f32", 2)];
  const random = randomFrom(4);
  const stiff = random.list(35, () => 0.5 + 1.5 * random.uniform());
  const slope = (x: ArrayLike<number>): number[] => stiff.map((c, i) => c * (x[i]! - target.values[i]!));
  const loss = (x: ArrayLike<number>): number =>
    stiff.reduce((sum, c, i) => sum + c * (x[i]! - target.values[i]!) ** 2, 0);
  const steps = 200;
  let at = await startOf(optimizer, backend, start, "matrix");
  for (let step = 1; step <= steps; step++) {
    const lr = 0.1 * (1 - (step - 1) / steps);
    const moved = await stepOnce(optimizer, backend, { ...at, grad: slope(at.param.values), role: "matrix", step, lr });
    at = moved.after;
  }
  const left = loss(at.param.values) / loss(start.values);
  if (!(left < 0.01))
    throw new FtError("numeric", `${left} of the loss is left after ${steps} steps`, "the step must go downhill");
}

/** Some steps with gradients that depend on the step alone. */
async function walk(
  optimizer: OptimizerLike,
  backend: Backend,
  from: Point,
  [first, last]: readonly [number, number],
  role = roles[0]!,
): Promise<Point> {
  let at = from;
  for (let step = first; step <= last; step++) {
    const grad = randomFrom(step, 12).list(at.param.values.length, (i) => (i === 3 ? 0 : Math.sin(step + i)));
    at = (await stepOnce(optimizer, backend, { ...at, grad, role, step, lr: 0.01 })).after;
  }
  return at;
}

async function keepsSpecs(backend: Backend, optimizer: OptimizerLike): Promise<void> {
  const floats = (["f64", "f32", "bf16", "f16"] as const).filter((dtype) => backend.dtypes.has(dtype));
  for (const dtype of floats)
    for (const role of roles)
      await during(`${dtype} ${role}`, async () => {
        const vector = normals(randomFrom(6), dtype, ["hidden"], [9]);
        const start = await startOf(optimizer, backend, role === "vector" ? vector : matrix(dtype, 5), role);
        const end = await walk(optimizer, backend, start, [1, 2], role);
        sameSpec("param", start.param, end.param);
        expectKeys(start, end);
        for (const [slot, x] of Object.entries(start.slots)) sameSpec(slot, x, end.slots[slot]!);
        if (Array.from(end.param.values).some((x) => !Number.isFinite(x)))
          throw new FtError("numeric", "a parameter is not finite after two steps", "guard the division");
      });
}

function sameSpec(what: string, want: HostTensor, got: HostTensor): void {
  const same = want.dtype === got.dtype && sameShape(want.shape, got.shape) && want.axes.join() === got.axes.join();
  const show = (x: HostTensor): string => `${x.dtype} ${x.axes.join("×")} = ${x.shape.join("×")}`;
  if (!same) throw new FtError("shape", `${what} was ${show(want)} and becomes ${show(got)}`, "return what came in");
}

function expectKeys(want: Point, got: Point): void {
  const [before, after] = [want, got].map((at) => Object.keys(at.slots).sort().join());
  if (before !== after) throw new FtError("config", `slots ${before} became ${after}`, "return the slots of init");
}

async function resumes(backend: Backend, optimizer: OptimizerLike): Promise<void> {
  const start = await startOf(optimizer, backend, matrix("f32", 7), "matrix");
  const straight = await walk(optimizer, backend, start, [1, 7]);
  for (const stop of [1, 3, 6]) {
    const saved = await walk(optimizer, backend, start, [1, stop]);
    expectSame(`stopped at ${stop}`, await walk(optimizer, backend, saved, [stop + 1, 7]), straight);
  }
}

async function isPure(backend: Backend, optimizer: OptimizerLike): Promise<void> {
  const fresh = await startOf(optimizer, backend, matrix("f32", 8), "matrix");
  const at = await walk(optimizer, backend, fresh, [1, 3]);
  const call = { ...at, grad: matrix("f32", 9).values, role: "matrix", step: 4, lr: 0.02 } as const;
  const own = await stepOnce(optimizer, backend, call);
  const shared = await stepOnce(optimizer, backend, call, true);
  expectSame("held by others", shared.after, own.after);
  expectSame("what others hold", shared.before, at);
  for (const { grad } of [own, shared]) expectEqual(grad, Float32Array.from(call.grad), "the gradient afterwards");
}

function expectSame(what: string, got: Point, want: Point): void {
  expectEqual(got.param.values, want.param.values, `${what}: parameter`);
  for (const [slot, x] of Object.entries(want.slots))
    expectEqual(got.slots[slot]?.values ?? [], x.values, `${what}: slot ${slot}`);
}

async function hasScalars(_: Backend, optimizer: OptimizerLike): Promise<void> {
  for (const step of [1, 2, 1000, 1_000_000]) {
    const [once, twice] = [optimizer.scalars({ step, lr: 0.1 }), optimizer.scalars({ step, lr: 0.1 })];
    for (const [key, value] of Object.entries(once))
      if (!Number.isFinite(value) || value !== twice[key])
        throw new FtError(
          "numeric",
          `scalar ${key} at step ${step} is ${value}, then ${twice[key]}`,
          "compute it from step and lr",
        );
  }
}
