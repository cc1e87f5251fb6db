import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CpuBackend, createCpuBackend } from "@ft/backend-cpu";
import { FtError, memory, type Parameter, parameter, type Tensor, tensor, windowElements, zeros } from "@ft/tensor";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { adamw } from "../adamw/adamw.ts";
import type { AnyOptimizer } from "../optimizer.ts";
import { sgd } from "../sgd/sgd.ts";
import { OptimizerState } from "../state.ts";
import type { Placement } from "./placement.ts";

const folder = mkdtempSync(join(tmpdir(), "ft-placement-"));
afterAll(() => rmSync(folder, { recursive: true }));
const placements: readonly Placement[] = ["device", "host", { file: folder }];

let cpu: CpuBackend;
let parameters: Map<string, Parameter>;
beforeEach(async () => {
  cpu = await createCpuBackend({ native: false, poison: true });
  parameters = new Map<string, Parameter>([
    ["large", parameter(cpu, "f32", ["out", "in"], [10, 100], new Float32Array(1000).fill(1))],
    ["small", parameter(cpu, "f32", ["in"], [3], Float32Array.of(1, 2, 3))],
  ]);
});
afterEach(() => {
  for (const param of parameters.values()) param.dispose();
  expect(memory(cpu).live).toBe(0);
});
const gradients = (): Map<string, Tensor> =>
  new Map([...parameters].map(([name, { axes, shape }]) => [name, ones(axes, shape)]));
const ones = (axes: readonly string[], shape: readonly number[]): Tensor =>
  tensor(cpu, "f32", axes, shape, new Float32Array(shape.reduce((n, d) => n * d, 1)).fill(1));

async function errorOf(act: () => unknown): Promise<FtError> {
  try {
    await act();
  } catch (error) {
    if (FtError.is(error)) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe.each(placements)("slots in %j", (placement) => {
  test("have the parameter's shape, whether it is stepped in windows or not", async () => {
    for (const window of [64, 10_000]) {
      using state = new OptimizerState(adamw(), parameters, { placement, window });
      const shown = [...state.save()].map(([key, { dtype, axes, shape }]) => [key, dtype, axes, shape]);
      expect(shown).toEqual([
        ["m:large", "f32", ["out", "in"], [10, 100]],
        ["v:large", "f32", ["out", "in"], [10, 100]],
        ["m:small", "f32", ["in"], [3]],
        ["v:small", "f32", ["in"], [3]],
      ]);
    }
  });

  test("are read whole or in pieces, also many at a time, and what is read is the reader's", async () => {
    using state = new OptimizerState(sgd({ momentum: 0.9 }), parameters, { placement, window: 64 });
    await state.step(gradients(), { step: 1, lr: 0.1 });
    const [large, small] = [...state.save().values()];
    const [a, b, c] = await Promise.all([large!.read(), small!.read(), large!.read()]);
    expect([a.length, b.length, c.length]).toEqual([1000, 3, 1000]);
    const pieces: number[] = [];
    for await (const piece of large!.pieces!()) pieces.push(...Array.from(piece, Number));
    expect(pieces).toEqual(Array.from(a, Number));
    a.fill(7);
    expect(Array.from(await large!.read(), Number)).toEqual(pieces);
  });

  test("outlive nothing: after dispose they are gone", async () => {
    const before = memory(cpu).live;
    const state = new OptimizerState(adamw(), parameters, { placement, window: 64 });
    await state.step(gradients(), { step: 1, lr: 0.1 });
    expect(readdirSync(folder)).toEqual([]);
    state.dispose();
    expect(memory(cpu).live).toBe(before);
    await expect(state.save().get("m:small")!.read()).rejects.toThrow(/after dispose/);
  });

  test("are evaluated where the optimizer has something else to evaluate", async () => {
    const averaging: AnyOptimizer = {
      ...sgd(),
      init: ({ param }) => ({ average: zeros(param.backend, "f32", param.axes, param.shape) }),
      step: ({ param, slots }) => ({ param, slots }),
      evaluated: ({ slots }) => slots.average as Tensor<"f32">,
    };
    using state = new OptimizerState(averaging, parameters, { placement, window: 64 });
    expect(await state.evaluating(async () => Number((await parameters.get("large")!.read())[0]))).toBe(0);
    expect(Number((await parameters.get("large")!.read())[0])).toBe(1);
    expect(Array.from(await state.save().get("average:small")!.read(), Number)).toEqual([0, 0, 0]);
  });
});

test("a step consumes the gradients, the largest last, and needs no more than a window beside them", async () => {
  const live: number[] = [];
  const watching: AnyOptimizer = {
    ...sgd(),
    step(at) {
      live.push(memory(cpu).bytes);
      return sgd().step(at as Parameters<ReturnType<typeof sgd>["step"]>[0]);
    },
  };
  using state = new OptimizerState(watching, parameters, { window: 100 });
  const grads = gradients();
  const before = memory(cpu).bytes;
  await state.step(grads, { step: 1, lr: 0.1 });
  expect(memory(cpu).bytes).toBe(before - 4 * 1003);
  expect(live).toHaveLength(11);
  // the scalar of the rate is the only thing beside parameters and gradients
  expect(live[0]).toBe(before + 4);
  expect(live[1]).toBe(before + 4 - 4 * 3);
  expect(() => grads.get("large")!.shape).toThrow(/after dispose/);
});

test("what somebody else holds of a parameter or a slot stays as it was", async () => {
  using state = new OptimizerState(sgd({ momentum: 0.9 }), parameters, { window: 64 });
  await state.step(gradients(), { step: 1, lr: 0.5 });
  const held = parameters.get("large")!.as("out", "in");
  const was = await held.read();
  await state.step(gradients(), { step: 2, lr: 0.5 });
  expect(await held.read()).toEqual(was);
  expect(await parameters.get("large")!.read()).not.toEqual(was);
  held.dispose();
});

test("windows of the usual size, the last one shorter", async () => {
  const size = windowElements + 5;
  const x = parameter(cpu, "f32", ["x"], [size], new Float32Array(size));
  const counts: number[] = [];
  const watching: AnyOptimizer = {
    ...sgd(),
    step(at) {
      counts.push(at.param.shape[0]!);
      expect(at.size).toBe(size);
      return { param: at.param, slots: at.slots };
    },
  };
  using state = new OptimizerState(watching, new Map([["x", x]]));
  await state.step(new Map([["x", zeros(cpu, "f32", ["x"], [size])]]), { step: 1, lr: 1 });
  expect(counts).toEqual([windowElements, 5]);
  x.dispose();
});

test("a slot that is neither per element nor per group is an error of the optimizer", () => {
  const rows: AnyOptimizer = { ...sgd(), init: () => ({ rows: zeros(cpu, "f32", ["row"], [7]) }) };
  expect(() => new OptimizerState(rows, parameters, { window: 64 })).toThrow(
    /sgd has group 1, but its slot "rows" is 7 for 64 elements of large/,
  );
  const { group: _, ...whole } = rows;
  new OptimizerState(whole, parameters, { window: 64 }).dispose();
});

describe("a file that cannot be", () => {
  test("in a folder that is none", async () => {
    for (const file of [join(folder, "missing"), "/dev/null"]) {
      const error = await errorOf(() => new OptimizerState(adamw(), parameters, { placement: { file } }));
      expect(error.code).toBe("io");
      expect(error.message).toMatch(/cannot make a file for optimizer slots in .*(missing|null): .*name a folder/);
    }
  });

  test("a placement that is none", async () => {
    const nowhere = "disk" as unknown as Placement;
    const error = await errorOf(() => new OptimizerState(adamw(), parameters, { placement: nowhere }));
    expect([error.code, error.message]).toEqual([
      "config",
      'optimizer placement "disk"; give "device", "host" or { file: folder }',
    ]);
  });

  test.skipIf(!canMount())(
    "on a disk without room: an error before the first step, naming what is needed",
    async () => {
      const disk = join(folder, "disk");
      mkdirSync(disk);
      mount(disk, "8k");
      try {
        using state = new OptimizerState(adamw(), parameters, { placement: { file: disk } });
        const error = await errorOf(() => state.ready());
        expect([error.code, error.message]).toEqual([
          "io",
          expect.stringMatching(/has 0.0\d MB left, .* need 0.0\d MB/),
        ]);
        expect(await parameters.get("small")!.read()).toEqual(Float32Array.of(1, 2, 3));
      } finally {
        spawnSync("umount", [disk]);
        rmSync(disk, { recursive: true });
      }
    },
  );

  test.skipIf(!canMount())("on a disk that others fill meanwhile", async () => {
    const disk = join(folder, "filled");
    mkdirSync(disk);
    mount(disk, "64k");
    try {
      using state = new OptimizerState(adamw(), parameters, { placement: { file: disk } });
      const filling = state.ready();
      spawnSync("dd", ["if=/dev/zero", `of=${join(disk, "others")}`, "bs=1k", "count=60"]);
      const error = await errorOf(() => filling);
      expect(error.code).toBe("io");
      expect(error.message).toMatch(/cannot write the optimizer's slots in .*filled: ENOSPC.*free some space/);
    } finally {
      spawnSync("umount", [disk]);
      rmSync(disk, { recursive: true });
    }
  });

  test.skipIf(process.platform !== "linux")("cut off from outside while training", async () => {
    const target = mkdtempSync(join(folder, "cut-"));
    using state = new OptimizerState(adamw(), parameters, { placement: { file: target }, window: 64 });
    await state.step(gradients(), { step: 1, lr: 0.1 });
    const fd = readdirSync("/proc/self/fd").find((fd) => linkOf(fd).startsWith(target));
    truncateSync(`/proc/self/fd/${fd}`, 5000);
    const error = await errorOf(() => state.step(gradients(), { step: 2, lr: 0.1 }));
    expect(error.code).toBe("io");
    expect(error.message).toMatch(/slots in .* was cut off before byte \d+; resume from the last checkpoint/);
  });
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

function mount(at: string, size: string): void {
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", at], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`mount failed: ${stderr}`);
}

/** Whether this process may mount a file system of its own, to run out of disk space for real. */
function canMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const at = mkdtempSync(join(tmpdir(), "ft-mount-"));
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", at]).status === 0;
  if (mounted) spawnSync("umount", [at]);
  rmSync(at, { recursive: true, force: true });
  return mounted;
}
