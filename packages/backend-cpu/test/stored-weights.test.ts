import {
  bf16ToF32,
  type DataOf,
  type FloatDType,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  parameter,
  type Tensor,
  tensor,
  valueAndGrad,
} from "@ft/tensor";
import {
  add,
  cast,
  embedding,
  embeddingOp,
  linear,
  linearCrossEntropy,
  linearCrossEntropyOp,
  linearOp,
  scale,
  sum,
  sumSquares,
  swiglu,
} from "@ft/tensor/ops";
import { expectClose, randomFrom } from "@ft/testing";
import { describe, expect, it } from "vitest";
import { type CpuBackend, createCpuBackend } from "../src/index.ts";
import { loadNative } from "../src/native/library.ts";

const [rows, width, out] = [37, 50, 70];
const normal = (seed: number, count: number): Float32Array<ArrayBuffer> => {
  const random = randomFrom(seed);
  return Float32Array.from({ length: count }, () => random.normal());
};

const halves = { bf16: [f32ToBf16, bf16ToF32], f16: [f32ToF16, f16ToF32] } as const;

/** One table as embedding, layer and head; the values of each and the gradient of what goes in. */
async function through(
  backend: CpuBackend,
  dtype: FloatDType,
  data: DataOf[FloatDType],
): Promise<{ readonly [name: string]: Float32Array }> {
  const table = parameter(backend, dtype, ["out", "in"], [out, width], data);
  const bias = parameter(backend, "f32", ["out"], [out], normal(2, out));
  const x = parameter(backend, "f32", ["row", "in"], [rows, width], normal(3, rows * width));
  const ids = tensor(
    backend,
    "i32",
    ["row"],
    [rows],
    Int32Array.from({ length: rows }, (_, i) => (i * 13) % out),
  );
  const embedded = embedding(table, ids, "f32");
  const layer = valueAndGrad(new Map([["x", x]]), () => {
    const y = linear(x, table, bias);
    return sum(swiglu(y, y));
  });
  const head = valueAndGrad(new Map([["x", x]]), () => linearCrossEntropy(x, table, ids, { chunk: 16 }).loss);
  const read = async (y: Tensor | undefined): Promise<Float32Array> => Float32Array.from((await y?.read()) ?? []);
  return {
    embedded: await read(embedded),
    layer: await read(layer.value),
    "layer dx": await read(layer.grads.get("x")),
    head: await read(head.value),
    "head dx": await read(head.grads.get("x")),
  };
}

/** The gradient of a table that trains: as a layer, as a head, as an embedding, and as all three in one loss. */
async function gradients(
  backend: CpuBackend,
  dtype: FloatDType,
  data: DataOf[FloatDType],
): Promise<{ readonly [name: string]: Float32Array }> {
  const table = parameter(backend, dtype, ["out", "in"], [out, width], data);
  const x = tensor(backend, "f32", ["row", "in"], [rows, width], normal(3, rows * width));
  const list = Int32Array.from({ length: rows }, (_, i) => (i * 13) % 29); // ids come back, and not all of them come
  const ids = tensor(backend, "i32", ["row"], [rows], list);
  const squared = (y: Tensor<"f32", any>): Tensor<"f32", readonly []> => sum(swiglu(y, y));
  const loss = (of: Tensor<"f32", readonly ["row", "in"]>): Tensor<"f32", readonly []> =>
    cast(linearCrossEntropy(of, table, ids, { chunk: 16 }).loss, "f32");
  const uses = {
    layer: () => squared(linear(x, table)),
    head: () => scale(loss(x), tensor(backend, "f32", [], [], Float32Array.of(0.37))),
    embedding: () => squared(embedding(table, ids, "f32")),
    tied: () => {
      const hidden = embedding(table, ids, "f32");
      const layer = squared(linear(hidden, table));
      return add(layer, loss(hidden));
    },
  };
  const made: { [name: string]: Float32Array } = {};
  for (const [name, use] of Object.entries(uses)) {
    const grad = valueAndGrad(new Map([["table", table]]), use).grads.get("table");
    expect(grad?.dtype).toBe(dtype);
    made[name] = grad ? Float32Array.from(await widened(grad)) : new Float32Array();
  }
  return made;
}

async function widened(x: Tensor): Promise<ArrayLike<number>> {
  const data = await x.read();
  if (x.dtype === "bf16" && data instanceof Uint16Array) return bf16ToF32(data);
  if (x.dtype === "f16" && data instanceof Uint16Array) return f16ToF32(data);
  return data instanceof Float32Array ? data : [];
}

describe("weights that train in 16 bits", () => {
  it.each(["bf16", "f16"] as const)("%s: their gradient is that in f32, rounded once for each use", async (dtype) => {
    const [narrow, widen] = halves[dtype];
    const stored = narrow(normal(1, out * width));
    const native = await createCpuBackend({ poison: true });
    const got = await gradients(native, dtype, stored);
    const wide = await gradients(native, "f32", widen(stored));
    for (const name of ["layer", "head", "embedding"])
      expect(got[name], name).toEqual(widen(narrow(Float32Array.from(wide[name] ?? []))));
    // three roundings, and the sums of rounded parts
    const reason = "each of three uses rounds to the dtype";
    const relative = dtype === "bf16" ? 3 * 2 ** -8 : 3 * 2 ** -11;
    expectClose(got.tied ?? [], wide.tied ?? [], { relative, floor: 0.1, reason }, "tied");
    const reference = await gradients(await createCpuBackend({ native: false }), dtype, stored);
    for (const [name, y] of Object.entries(reference))
      expectClose(got[name] ?? [], y, { relative, floor: 0.1, reason }, name);
  });
});

describe.skipIf(loadNative() === undefined)("large weights in 16 bits", () => {
  const [n, k, m] = [2100, 2048, 3]; // more than a strip of each kernel
  const table = normal(7, n * k);
  const input = normal(8, m * k);

  /** The gradients of a layer and of a head, and the sum of the squares of the table. */
  async function made(dtype: "f32" | "bf16"): Promise<readonly ArrayLike<number>[]> {
    const backend = await createCpuBackend({ poison: true });
    const narrow = f32ToBf16(table);
    const weight = parameter(backend, dtype, ["out", "in"], [n, k], dtype === "f32" ? bf16ToF32(narrow) : narrow);
    const x = tensor(backend, "f32", ["row", "in"], [m, k], input);
    const ids = tensor(backend, "i32", ["row"], [m], Int32Array.of(5, 2099, 5));
    const by = tensor(backend, "f32", [], [], Float32Array.of(0.37));
    const uses = [
      () => {
        const y = linear(x, weight);
        return scale(sum(swiglu(y, y)), by);
      },
      () => scale(cast(linearCrossEntropy(x, weight, ids, { chunk: 2 }).loss, "f32"), by),
    ];
    const grads = uses.map((use) => valueAndGrad(new Map([["weight", weight]]), use).grads.get("weight"));
    const squares = await sumSquares(weight).read();
    const read = await Promise.all(grads.map(async (grad) => (grad ? widened(grad) : [])));
    backend.dispose?.();
    return [...read, squares];
  }

  it("bf16: gradients are those of the same numbers in f32, rounded once, and so is the sum of squares", async () => {
    const [got, wide] = [await made("bf16"), await made("f32")];
    for (const i of [0, 1]) {
      const rounded = bf16ToF32(f32ToBf16(Float32Array.from(wide[i] ?? [])));
      expect(Buffer.from(rounded.buffer).equals(Buffer.from(Float32Array.from(got[i] ?? []).buffer))).toBe(true);
      expect(rounded.some((g) => g !== 0)).toBe(true);
    }
    expectClose(
      got[2] ?? [],
      wide[2] ?? [],
      { relative: 2 ** -23, floor: 0, reason: "sums in f64, in another order" },
      "",
    );
  });
});

describe("weights held in 16 bits", () => {
  it.each(["bf16", "f16"] as const)("%s: the bytes of the same numbers in f32, by native kernels", async (dtype) => {
    const [narrow, widen] = halves[dtype];
    const stored = narrow(normal(1, out * width));
    const native = await createCpuBackend({ poison: true });
    const got = await through(native, dtype, stored);
    expect(got).toEqual(await through(native, "f32", widen(stored)));
    const reference = await through(await createCpuBackend({ native: false }), dtype, stored);
    for (const [name, y] of Object.entries(reference))
      expectClose(got[name] ?? [], y, { relative: 1e-5, floor: 1, reason: "f32 sums of 70 terms" }, name);
  });

  it.each([
    ["linear", linearOp, "weight", { x: "f32", bias: "f32" }],
    ["embedding", embeddingOp, "table", { ids: "i32" }],
    ["linearCrossEntropy", linearCrossEntropyOp, "weight", { x: "f32", targets: "i32" }],
  ] as const)("are read by %s where they lie, and may train there", async (_, op, weight, others) => {
    const kernel = (await createCpuBackend()).kernels.get(op.id);
    const accepts = (dtype: string, trains: boolean): unknown => {
      const dtypes = Object.entries({ ...others, [weight]: dtype });
      const specs = Object.fromEntries(dtypes.map(([name, d]) => [name, { dtype: d, shape: [4, 4] }]));
      return kernel?.accepts?.({ in: specs, attrs: { dtype: "f32" }, wants: { [weight]: trains } });
    };
    for (const trains of [false, true])
      expect(["f32", "bf16", "f16", "f64"].map((dtype) => accepts(dtype, trains))).toEqual([true, true, true, false]);
  });
});

describe("compute bf16", () => {
  const has = ["avx512bf16", "amx"].includes(loadNative()?.level() ?? "");
  it.skipIf(has)("is refused where the processor has no such products", async () => {
    const made = createCpuBackend({ compute: "bf16" });
    await expect(made).rejects.toThrow(/no bf16 products.*AVX-512-BF16/);
    await expect(createCpuBackend({ compute: "bf16", native: false })).rejects.toThrow(/without native kernels/);
  });

  it.skipIf(!has)("rounds both factors to bf16 and sums in f32", async () => {
    const [narrow, widen] = halves.bf16;
    const [x, w] = [normal(1, rows * width), normal(2, out * width)];
    const product = async (backend: CpuBackend, a: Float32Array<ArrayBuffer>, b: Float32Array<ArrayBuffer>) =>
      linear(
        tensor(backend, "f32", ["row", "in"], [rows, width], a),
        tensor(backend, "f32", ["out", "in"], [out, width], b),
      ).read();
    const got = await product(await createCpuBackend({ compute: "bf16" }), x, w);
    const want = await product(await createCpuBackend(), widen(narrow(x)), widen(narrow(w)));
    expectClose(got, want, { relative: 1e-5, floor: 1, reason: "products of bf16 are exact in f32; sums of 50 terms" });
  });
});
