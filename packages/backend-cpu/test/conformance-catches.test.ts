// The suites must fail where they should: each test breaks a backend, a kernel or an optimizer in one way and says which checks see it.
import {
  type AnyKernel,
  defineKernel,
  defineOp,
  P,
  type Parameter,
  type PrimitiveKernels,
  parameter,
  run,
  Storage,
  Temps,
  type Tensor,
  tensor,
  type View,
  zeros,
} from "@ft/tensor";
import { addOp, rmsNormOp, scale, sum, swigluOp } from "@ft/tensor/ops";
import {
  backendConformance,
  type ConformanceOptions,
  checkGradient,
  leakCheck,
  type OptimizerLike,
  optimizerConformance,
  type Runner,
} from "@ft/testing";
import { describe, expect, it } from "vitest";
import { type CpuBuffer, createCpuBackend } from "../src/index.ts";

const reference = () => createCpuBackend({ native: false, poison: true });
type Loops = PrimitiveKernels<CpuBuffer>;

/** Runs a suite with a runner that collects, and gives the titles of what failed. */
async function failuresOf(declare: (runner: Runner) => void): Promise<string[]> {
  const tests: [string, () => Promise<void>][] = [];
  declare({ describe: (_, body) => body(), it: (title, body) => tests.push([title, body]), afterAll: () => {} });
  const failed: string[] = [];
  for (const [title, body] of tests) await body().catch(() => failed.push(title));
  return failed;
}

function broken(
  change: { loops?: (loops: Loops) => Partial<Loops>; kernels?: AnyKernel[] },
  options: Partial<ConformanceOptions> = {},
): Promise<string[]> {
  const make = async () => {
    const backend = await createCpuBackend({ native: false, poison: true, kernels: change.kernels ?? [] });
    return { ...backend, primitives: { ...backend.primitives, ...change.loops?.(backend.primitives) } };
  };
  const dtypes = ["f64", "f32", "bf16", "f16", "i32", "i8", "u8", "bool"] as const;
  return failuresOf((runner) =>
    backendConformance("broken", make, { dtypes, reference, shapes: 2, ...options }, runner),
  );
}

describe("backendConformance notices", () => {
  it("nothing on the reference loops", async () => {
    expect(await broken({})).toEqual([]);
  });

  it("an undeclared dtype", async () => {
    expect(await broken({}, { dtypes: ["f32"] })).toContain("holds the dtypes it is tested with, and no other");
  });

  it("a broadcast that forgets the left operand", async () => {
    const failed = await broken({
      loops: ({ binary }) => ({
        binary: (inputs, attrs, out) => {
          const { a, b } = inputs;
          const swap = typeof b !== "number" && attrs.kind === "sub" && a.shape.length < b.shape.length;
          binary(swap ? { a: b, b: a } : inputs, attrs, out);
        },
      }),
    });
    expect(failed).toContain("binary sub");
    expect(failed).not.toContain("binary add");
  });

  it("an element left unwritten", async () => {
    const failed = await broken({
      loops: ({ slice }) => ({
        slice: (inputs, attrs, out) => {
          const last = out.storage.buffer.length - 1;
          const before = out.storage.buffer[last]!;
          slice(inputs, attrs, out);
          out.storage.buffer[last] = before;
        },
      }),
    });
    expect(failed).toContain("slice");
  });

  it("a kernel that cannot work in place", async () => {
    const failed = await broken({
      loops: ({ unary }) => ({
        unary: (inputs, attrs, out) => {
          out.storage.buffer.fill(0);
          unary(inputs, attrs, out);
        },
      }),
    });
    expect(failed).toContain("unary tanh");
  });

  it("negative indices that are not skipped", async () => {
    const failed = await broken({
      loops: ({ scatterAdd }) => ({
        scatterAdd: ({ rows, index }, attrs, out) => {
          const { buffer } = index.storage;
          for (let i = 0; i < buffer.length; i++) buffer[i] = Math.max(0, buffer[i]!);
          scatterAdd({ rows, index }, attrs, out);
        },
      }),
    });
    expect(failed).toContain("scatterAdd");
  });

  it("a fused kernel that overwrites its input", async () => {
    const kernel = defineKernel(addOp, {
      accepts: ({ in: { a } }) => a.dtype === "f32",
      forward(_, { in: { a, b }, out: { y } }) {
        for (let i = 0; i < values(y).length; i++) values(a)[i] = values(y)[i] = values(a)[i]! + values(b)[i]!;
      },
    });
    expect(await broken({ kernels: [kernel] })).toContain("add");
  });

  it("a kernel that leaks", async () => {
    const kernel = defineKernel(addOp, {
      accepts: ({ in: { a } }) => a.dtype === "f32",
      forward(_, { in: { a, b }, out: { y } }) {
        new Storage(y.storage.backend, y);
        y.storage.backend.primitives.binary({ a, b }, { kind: "add" }, y);
      },
    });
    const failed = await broken({ kernels: [kernel] });
    expect(failed).toContain("add");
    expect(failed).toContain("leaves no buffer alive");
  });

  it("a gradient written into a buffer that somebody still holds", async () => {
    const kernel = defineKernel(swigluOp, {
      accepts: ({ in: { gate } }) => gate.dtype === "f32",
      vjp(_, { kept: { gate, up }, grad: { y } }) {
        values(gate).fill(1); // not asked for with `into`
        return { gate: y, up };
      },
    });
    expect(await broken({ kernels: [kernel] })).toContain("swiglu");
  });

  it("saved values that only the kernel itself understands", async () => {
    const kernel = defineKernel(rmsNormOp, {
      accepts: ({ in: { x, weight } }) => x.dtype === "f32" && weight.dtype === "f32",
      forward(_, { in: { x, weight }, attrs: { eps }, out: { y }, saved: { rstd } }) {
        const h = values(weight).length;
        for (let row = 0; row < values(rstd).length; row++) {
          let squares = 0;
          for (let i = row * h; i < (row + 1) * h; i++) squares += values(x)[i]! ** 2;
          const norm = Math.sqrt(squares / h + eps);
          for (let i = 0; i < h; i++) values(y)[row * h + i] = (values(x)[row * h + i]! / norm) * values(weight)[i]!;
          values(rstd)[row] = norm; // the reference saves 1 / norm
        }
      },
      vjp(_, { into, ...at }) {
        const { rstd } = at.saved;
        const { primitives } = rstd.storage.backend;
        const temps = new Temps(rstd.storage.backend);
        const p = new P(temps);
        const saved = { rstd: p.div(p.fill(rstd, 1), rstd) };
        const made: { x?: View; weight?: View } = {};
        for (const [name, grad] of Object.entries(rmsNormOp.vjp?.(p, { ...at, saved }) ?? {})) {
          if (name !== "x" && name !== "weight") continue;
          made[name] = into(name);
          primitives.cast({ x: grad }, {}, made[name]);
        }
        temps.free();
        return made;
      },
    });
    expect(await broken({ kernels: [kernel] })).toContain("rmsNorm");
  });

  it("bytes that depend on the number of threads", async () => {
    const off = defineKernel(addOp, {
      accepts: ({ in: { a } }) => a.dtype === "f32",
      forward(_, { in: { a, b }, out: { y } }) {
        y.storage.backend.primitives.binary({ a, b }, { kind: "add" }, y);
        values(y)[0]! *= 1 + 2 ** -22;
      },
    });
    const failed = await broken(
      {},
      { threads: [reference, () => createCpuBackend({ native: false, kernels: [off] })] },
    );
    expect(failed).toEqual(["add", "add: one tensor twice"]);
  });
});

function values(view: View): Float32Array {
  return view.storage.buffer;
}

describe("checkGradient notices", () => {
  const wrong = defineOp<{ in: { x: View }; out: { y: View }; attrs: {}; keeps: { x: View }; saved: {} }>({
    name: "test/square",
    keeps: () => ({ x: true }),
    infer: ({ in: { x } }) => ({ out: { y: x }, saved: {} }),
    forward: (p, { in: { x } }) => ({ out: { y: p.mul(x, x) }, saved: {} }),
    vjp: (p, { kept: { x }, grad: { y } }) => ({ x: p.mul(p.mul(x, y), 2 + 1e-5) }),
  });

  it("a factor wrong by 5 in a million, and a parameter without a gradient", async () => {
    const cpu = await reference();
    const x: Parameter<"f64"> = parameter(cpu, "f64", ["n"], [3], Float64Array.of(0.5, -2, 1));
    const y: Parameter<"f64"> = parameter(cpu, "f64", ["n"], [3], Float64Array.of(0.5, -2, 1));
    const square = (): Tensor<"f64", readonly []> => sum(run(wrong, { in: { x }, attrs: {}, axes: { y: ["n"] } }).y);
    await expect(checkGradient({ x }, square)).rejects.toThrow("gradient of x");
    await expect(checkGradient({ x }, square, { relative: 1e-5 })).resolves.toBeUndefined();
    const copied = (): Tensor<"f64", readonly []> => {
      const values = y.view.storage.buffer;
      return sum(scale(x, tensor(cpu, "f64", [], [], Float64Array.of(values[0]))));
    };
    await expect(checkGradient({ x, y }, copied)).rejects.toThrow("gradient of y");
  });

  it("a tensor that is not disposed", async () => {
    const cpu = await reference();
    await expect(leakCheck(cpu, () => void zeros(cpu, "f32", ["n"], [3]))).rejects.toThrow(
      "1 buffers were not disposed",
    );
    await expect(leakCheck(cpu, () => zeros(cpu, "f32", ["n"], [3]).dispose())).resolves.toBeUndefined();
  });
});

describe("optimizerConformance notices", () => {
  const step = defineOp<{
    in: { param: View; grad: View; lr: View };
    out: { y: View };
    attrs: { sign: number };
    keeps: {};
    saved: {};
  }>({
    name: "test/descend",
    keeps: () => ({}),
    infer: ({ in: { param } }) => ({ out: { y: param }, saved: {} }),
    forward(p, { in: { param, grad, lr }, attrs: { sign } }) {
      const move = p.mul(p.mul(p.cast(grad, lr.dtype), lr), sign);
      return { out: { y: p.cast(p.add(p.cast(param, lr.dtype), move), param.dtype) }, saved: {} };
    },
  });
  const descend = (sign = -1): OptimizerLike => ({
    name: "descend",
    init: () => ({}),
    scalars: ({ lr }) => ({ lr }),
    step: ({ param, grad, scalars }) => {
      const { y } = run(step, { in: { param, grad, lr: scalars.lr! }, attrs: { sign }, axes: { y: param.axes } });
      return { param: y, slots: {} };
    },
  });
  const failed = (make: () => OptimizerLike): Promise<string[]> =>
    failuresOf((runner) => optimizerConformance({ descend: make }, reference, {}, runner));

  it("nothing in plain descent", async () => {
    expect(await failed(() => descend())).toEqual([]);
  });

  it("ascent", async () => {
    expect(await failed(() => descend(1))).toEqual(["finds the minimum of a quadratic"]);
  });

  it("another name than its own", async () => {
    expect(await failed(() => ({ ...descend(), name: "other" }))).toEqual(["is called by its name in the table"]);
  });

  it("state outside the slots", async () => {
    const forgetful = (): OptimizerLike => {
      const inner = descend();
      let calls = 0;
      return { ...inner, scalars: ({ lr }) => ({ lr: lr / (1 + calls++ / 100) }) };
    };
    expect(await failed(forgetful)).toContain("goes on from saved slots as if it had not stopped, to the bit");
  });

  it("a slot that gets lost", async () => {
    const inner = descend();
    const loses = (): OptimizerLike => ({
      ...inner,
      init: ({ param }) => ({ m: zeros(param.backend, "f32", param.axes, param.shape) }),
    });
    expect(await failed(loses)).toContain("keeps dtype, shape and axes of parameter and slots, in every role");
  });
});
