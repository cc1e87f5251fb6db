import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import {
  type AnyOptimizer,
  OptimizerState,
  type OptimizerStateOptions,
  optimizers,
  type Placement,
  withMasterWeights,
} from "@ft/optim";
import {
  type Backend,
  f32ToBf16,
  memory,
  type Parameter,
  parameter,
  philoxNormal,
  type Tensor,
  tensor,
} from "@ft/tensor";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { optimizers8bit } from "./optimizers-8bit.ts";

const folder = mkdtempSync(join(tmpdir(), "ft-slots-"));
afterAll(() => rmSync(folder, { recursive: true }));

type Bytes = Map<string, Buffer>;
// 11,100 elements are six windows of 2,048, the last of them shorter and not a whole number of 8-bit blocks.
const sizes: Record<string, readonly number[]> = {
  "mlp.weight": [37, 300],
  "up.weight": [64, 65],
  "norm.weight": [40],
};
const window = 2048;
const placements: readonly [string, OptimizerStateOptions][] = [
  ["device", { placement: "device" }],
  ["host", { placement: "host" }],
  ["file", { placement: { file: folder } }],
].flatMap(([name, options]) => [
  [`${name}, in windows`, { ...(options as { placement: Placement }), window }],
  [`${name}, whole`, { ...(options as { placement: Placement }), window: Number.POSITIVE_INFINITY }],
]);

type Values = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
const known = new Map<string, Values>();
function fill(dtype: "f32" | "bf16", count: number, stream: number, scale: number): Values {
  const key = [dtype, count, stream, scale].join();
  const found = known.get(key);
  if (found) return found;
  const normal = philoxNormal(3, stream, 0);
  const values = Float32Array.from({ length: count }, (_, i) => normal(i) * scale);
  const bits = new Uint16Array(count);
  f32ToBf16(values, bits);
  const made = dtype === "f32" ? values : bits;
  known.set(key, made);
  return made;
}

function make(backend: Backend, dtype: "f32" | "bf16", stream: number, scale: number): [string, Parameter][] {
  return Object.entries(sizes).map(([name, shape], i) => {
    const count = shape.reduce((n, d) => n * d, 1);
    return [name, parameter(backend, dtype, shape.map(String), shape, fill(dtype, count, stream + i, scale))];
  });
}

/** Steps `from`..`to` from fresh weights or from what `saved` holds; everything there is afterwards. */
async function walk(
  backend: Backend,
  dtype: "f32" | "bf16",
  optimizer: AnyOptimizer,
  options: OptimizerStateOptions,
  [from, to]: readonly [number, number],
  saved?: Bytes,
): Promise<Bytes> {
  const parameters = new Map(make(backend, dtype, 0, 0.1));
  using state = new OptimizerState(optimizer, parameters, options);
  if (saved) {
    for (const [name, param] of parameters) param.write(await arrayLike(param, saved.get(name)!));
    const slots = new Map<string, Tensor>();
    for (const [key, { dtype, axes, shape, read }] of state.save())
      slots.set(key, tensor(backend, dtype, axes, shape, same(await read(), saved.get(key)!)));
    await state.load(slots);
    for (const slot of slots.values()) slot.dispose();
  }
  for (let step = from; step <= to; step++) {
    const grads = new Map<string, Tensor>(make(backend, dtype, 100 * step, step === 2 ? 1e-4 : 0.02));
    await state.step(grads, { step, lr: 0.01, ...(step === 3 && { gradScale: 0.3 }) });
  }
  const out: Bytes = new Map();
  for (const [name, x] of [...parameters, ...state.save()]) out.set(name, bytes(await x.read()));
  for (const param of parameters.values()) param.dispose();
  return out;
}

const bytes = (data: ArrayBufferView): Buffer => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
function same<A extends ArrayBufferView>(like: A, from: Buffer): A {
  bytes(like).set(from);
  return like;
}
const arrayLike = async (param: Parameter, from: Buffer) => same(await param.read(), from);

function expectSame(got: Bytes, want: Bytes): void {
  expect([...got.keys()]).toEqual([...want.keys()]);
  for (const [name, x] of want) expect(got.get(name)!.equals(x), name).toBe(true);
}

const cases: [string, "f32" | "bf16", AnyOptimizer][] = Object.entries({ ...optimizers, ...optimizers8bit }).flatMap(
  ([name, create]) => {
    const optimizer = create(name === "sgd" || name === "rmsprop" ? { momentum: 0.9 } : {});
    return [
      [name, "f32", optimizer],
      [name, "bf16", withMasterWeights(optimizer)],
    ];
  },
);

describe.each(["loops", "native"] as const)("where slots lie makes no difference (%s)", (engine) => {
  let cpu: CpuBackend;
  beforeAll(async () => {
    cpu = await createCpuBackend({ engine, poison: true });
  });

  test.each(cases)("%s, %s", async (_, dtype, optimizer) => {
    const want = await walk(cpu, dtype, optimizer, { window: Number.POSITIVE_INFINITY }, [1, 4]);
    const half = await walk(cpu, dtype, optimizer, { window: Number.POSITIVE_INFINITY }, [1, 2]);
    const start = await walk(cpu, dtype, optimizer, { window: Number.POSITIVE_INFINITY }, [1, 0]);
    expect(want.get("mlp.weight")!.equals(start.get("mlp.weight")!)).toBe(false);
    for (const [, options] of placements) {
      expectSame(await walk(cpu, dtype, optimizer, options, [1, 0]), start);
      expectSame(await walk(cpu, dtype, optimizer, options, [1, 4]), want);
      expectSame(await walk(cpu, dtype, optimizer, options, [3, 4], half), want);
      expect(memory(cpu).live).toBe(0);
    }
    expect(readdirSync(folder)).toEqual([]);
  });

  test("nor does it on a backend that may not write in place", async () => {
    const fixed = { ...cpu, mutable: false };
    const optimizer = withMasterWeights(optimizers8bit.adamw8bit!({}));
    const want = await walk(cpu, "bf16", optimizer, {}, [1, 3]);
    for (const [, options] of placements) expectSame(await walk(fixed, "bf16", optimizer, options, [1, 3]), want);
  });
});
