import {
  type Backend,
  checkpoint,
  FtError,
  memory,
  type Parameter,
  parameter,
  scalar,
  scope,
  type Tensor,
  tensor,
  valueAndGrad,
} from "@ft/tensor";
import { add, dropout, linear, loraLinear, sum, swiglu } from "@ft/tensor/ops";
import { beforeEach, describe, expect, it } from "vitest";
import { createCpuBackend } from "../src/index.ts";

let backend: Backend;
beforeEach(async () => {
  backend = await createCpuBackend({ poison: true });
});

type Matrix = Parameter<"f32", readonly ["out", "in"]>;
const matrix = (...values: number[]): Matrix =>
  parameter(backend, "f32", ["out", "in"], [2, 2], Float32Array.from(values));
const row = (...values: number[]): Tensor<"f32", readonly ["batch", "in"]> =>
  tensor(backend, "f32", ["batch", "in"], [1, 2], Float32Array.from(values));
const named = (...parameters: Matrix[]): Map<string, Matrix> => new Map(parameters.map((p, i) => [`w${i}`, p]));

async function read(grads: ReadonlyMap<string, Tensor>): Promise<Record<string, number[]>> {
  const all: Record<string, number[]> = {};
  for (const [name, grad] of grads) all[name] = [...(await grad.read())];
  return all;
}

describe("valueAndGrad", () => {
  it("differentiates, d(sum W·x)/dW = x in every row", async () => {
    const [w, x] = [matrix(1, 2, 3, 4), row(5, 7)];
    const { value, grads } = valueAndGrad(named(w), () => sum(linear(x, w)));
    expect(await value.read()).toEqual(Float32Array.of(1 * 5 + 2 * 7 + 3 * 5 + 4 * 7));
    expect(await read(grads)).toEqual({ w0: [5, 7, 5, 7] });
  });

  it("adds up the gradients of a parameter used twice, as a tied head is", async () => {
    const [w, x] = [matrix(1, 0, 0, 1), row(2, 3)];
    const { grads } = valueAndGrad(named(w), () => sum(add(linear(x, w), linear(x, w))));
    expect(await read(grads)).toEqual({ w0: [4, 6, 4, 6] });
  });

  it("gives nothing for a parameter that the value does not reach", async () => {
    const [used, idle, x] = [matrix(1, 2, 3, 4), matrix(1, 2, 3, 4), row(1, 1)];
    const { grads } = valueAndGrad(
      new Map([
        ["used", used],
        ["idle", idle],
      ]),
      () => sum(linear(x, used)),
    );
    expect([...grads.keys()]).toEqual(["used"]);
  });

  it("frees everything but what it returns, also when the function throws half way", () => {
    const [w, x] = [matrix(1, 2, 3, 4), row(1, 1)];
    const before = memory(backend).live;
    const { value, grads } = valueAndGrad(named(w), () => sum(swiglu(linear(x, w), linear(x, w))));
    expect(memory(backend).live).toBe(before + 2);
    for (const made of [value, ...grads.values()]) made.dispose();
    const fail = (): never => {
      sum(linear(x, w));
      throw new Error("half way");
    };
    expect(() => valueAndGrad(named(w), fail)).toThrow("half way");
    expect(memory(backend).live).toBe(before);
    expect(w.edge).toBeUndefined();
  });

  it.each([
    [
      "a loss that is not a scalar",
      (x: Tensor<"f32", any>, w: Matrix) => linear(x, w),
      /the loss is f32 batch×out = 1×2.*sum or average/,
    ],
    ["a loss that reaches no parameter", (x: Tensor<"f32", any>) => sum(x), /reaches no parameter/],
  ])("refuses %s", (_, loss, message) => {
    const [w, x] = [matrix(1, 2, 3, 4), row(1, 1)];
    expect(() => valueAndGrad(named(w), () => loss(x, w) as Tensor<"f32", readonly []>)).toThrow(message);
  });

  it("refuses to be nested", () => {
    const [w, x] = [matrix(1, 2, 3, 4), row(1, 1)];
    const inner = () => valueAndGrad(named(w), () => sum(linear(x, w))).value;
    expect(() => valueAndGrad(named(w), inner as () => Tensor<"f32", readonly []>)).toThrow(/second derivatives/);
  });
});

describe("checkpoint", () => {
  /** Three layers with dropout whose middle one may be checkpointed; x is a frozen input, so only closures hold parameters. */
  function network(ws: readonly Matrix[], x: Tensor<"f32", any>, recompute: boolean): Tensor<"f32", readonly []> {
    const step = scalar(backend, "i32", 3);
    const layer =
      (w: Matrix, stream: number) =>
      (h: Tensor<"f32", any>): Tensor<"f32", any> =>
        dropout(swiglu(linear(h, w), linear(h, w)), step, { rate: 0.3, seed: 1, stream });
    let h: Tensor<"f32", any> = x;
    for (const [stream, w] of ws.entries()) h = recompute ? checkpoint(layer(w, stream), h) : layer(w, stream)(h);
    return sum(h);
  }

  it("gives the same bytes as not using it, also where only closures hold what trains", async () => {
    const ws = [matrix(0.5, -1, 2, 0.3), matrix(1, 0.2, -0.7, 1.5), matrix(0.9, 1.1, -1.2, 0.4)];
    const x = row(0.7, -1.3);
    const plain = valueAndGrad(named(...ws), () => network(ws, x, false));
    const again = valueAndGrad(named(...ws), () => network(ws, x, true));
    expect(await again.value.read()).toEqual(await plain.value.read());
    expect(await read(again.grads)).toEqual(await read(plain.grads));
    expect([...again.grads.keys()]).toEqual(["w0", "w1", "w2"]);
  });

  it("keeps less while the forward runs", () => {
    const w = parameter(backend, "f32", ["out", "in"], [64, 64], new Float32Array(64 * 64).fill(0.01));
    const x = tensor(backend, "f32", ["batch", "in"], [256, 64], new Float32Array(256 * 64).fill(0.1));
    const block = (h: Tensor<"f32", any>): Tensor<"f32", any> => scope(() => swiglu(linear(h, w), linear(h, w)));
    const peak = (recompute: boolean): number => {
      memory(backend).peak = memory(backend).bytes;
      const { value, grads } = valueAndGrad(new Map([["w", w]]), () => {
        let h: Tensor<"f32", any> = x;
        for (let i = 0; i < 24; i++) {
          const input = h;
          h = recompute ? checkpoint(block, input) : block(input);
          if (input !== x) input.dispose();
        }
        return scope(() => sum(h));
      });
      for (const made of [value, ...grads.values()]) made.dispose();
      return memory(backend).peak - memory(backend).bytes;
    };
    expect(peak(true)).toBeLessThan(0.6 * peak(false));
  });
});

describe("scope", () => {
  it("frees what is made inside, except the result, in arrays, Maps and records too", () => {
    const before = memory(backend).live;
    const kept = scope(() => {
      row(1, 2);
      return { one: row(1, 2), more: [row(3, 4)], named: new Map([["x", row(5, 6)]]) };
    });
    expect(memory(backend).live).toBe(before + 3);
    for (const x of [kept.one, ...kept.more, ...kept.named.values()]) x.dispose();
    expect(memory(backend).live).toBe(before);
  });

  it("refuses to be asynchronous", () => {
    expect(() => scope(async () => {})).toThrow(/promise.*await before or after/);
  });

  it("makes use after dispose an error that says what to do", () => {
    const x = scope(() => {
      const made = row(1, 2);
      return { hidden: () => made };
    }).hidden();
    expect(() => x.shape).toThrow(/batch×in is used after dispose.*return it from scope/);
  });
});

describe("Parameter", () => {
  it("takes over a value, and refuses one of another size or dtype", async () => {
    const w = matrix(1, 2, 3, 4);
    const before = memory(backend).live;
    w.assign(matrix(5, 6, 7, 8));
    expect([...(await w.read())]).toEqual([5, 6, 7, 8]);
    expect(memory(backend).live).toBe(before);
    expect(() => w.assign(row(1, 2))).toThrow(/f32 batch×in = 1×2 to f32 out×in = 2×2/);
    expect(() => w.write(Float32Array.of(1))).toThrow(/1 values to f32 out×in = 2×2/);
    expect(() => w.assign(tensor(backend, "f32", ["a", "b"], [4, 1], new Float32Array(4)))).toThrow(/4×1 to .* = 2×2/);
  });
});

describe("donation", () => {
  it("leaves a buffer alone that another input of the same op reads", async () => {
    const step = scalar(backend, "i32", 0);
    const attrs = { scale: 1, rate: 0, seed: 0, stream: 0 };
    const [a, b] = [matrix(1, 2, 3, 4), matrix(5, 6, 7, 8)];
    const gradients = (alike: boolean): Promise<Record<string, number[]>> => {
      const x: Tensor<"f32", any> = row(1, 2);
      const [base, up]: Tensor<"f32", any>[] = [alike ? x : row(1, 2), b];
      return read(valueAndGrad(named(a, b), () => sum(loraLinear(base!, x, a, up!, step, attrs))).grads);
    };
    expect(await gradients(true)).toEqual(await gradients(false));
  });
});

describe("errors", () => {
  it("name the axes and both shapes, and are recognised across copies of the package", () => {
    const x = tensor(backend, "f32", ["batch", "hidden"], [1, 3], new Float32Array(3));
    const w: Tensor<"f32", any> = matrix(1, 2, 3, 4);
    let thrown: unknown;
    try {
      linear(x, w);
    } catch (error) {
      thrown = error;
    }
    expect(FtError.is(thrown)).toBe(true);
    expect(String(thrown)).toMatch(/\[linear\] 1×3 · \(2×2\)ᵀ.*x f32 batch×hidden = 1×3, weight f32 out×in = 2×2/);
    expect(FtError.is({ [Symbol.for("@ft/error")]: true })).toBe(true);
    expect(FtError.is(new Error("x"))).toBe(false);
  });

  it("refuse tensors of two backends", async () => {
    const other = await createCpuBackend();
    const x = tensor(other, "f32", ["batch", "in"], [1, 2], new Float32Array(2));
    expect(() => linear(x, matrix(1, 2, 3, 4))).toThrow(/move one of them/);
  });
});
