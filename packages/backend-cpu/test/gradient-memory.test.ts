import { type Backend, memory, parameter, scalar, scope, type Tensor, tensor, valueAndGrad } from "@ft/tensor";
import { add, linear, loraLinear, rmsNorm, sum, swiglu } from "@ft/tensor/ops";
import { expectClose, randomFrom } from "@ft/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createCpuBackend } from "../src/index.ts";

const rows = 64;
const width = 48;
const values = (seed: number, count: number): Float32Array<ArrayBuffer> => {
  const random = randomFrom(seed);
  return Float32Array.from({ length: count }, () => random.normal());
};
const upload = (backend: Backend, seed: number): Tensor<"f32", readonly ["row", "wide"]> =>
  tensor(backend, "f32", ["row", "wide"], [rows, width], values(seed, rows * width));
const weight = (backend: Backend, seed: number, [out, wide]: readonly [number, number] = [width, width]) =>
  parameter(backend, "f32", ["out", "wide"], [out, wide], values(seed, out * wide));

let native: Backend;
let loops: Backend;
beforeEach(async () => {
  native = await createCpuBackend({ poison: true });
  loops = await createCpuBackend({ native: false });
});
afterEach(() => {
  for (const backend of [native, loops]) expect(memory(backend).live).toBe(0);
});

/** Gradients of `loss`, read to the host; everything is freed. */
async function gradients(
  params: ReadonlyMap<string, Tensor>,
  loss: () => Tensor<"f32", readonly []>,
): Promise<Map<string, Float32Array>> {
  const { value, grads } = valueAndGrad(params, loss);
  value.dispose();
  const read = new Map<string, Float32Array>();
  for (const [name, grad] of grads) {
    read.set(name, Float32Array.from(await grad.read()));
    grad.dispose();
  }
  return read;
}

/** One x read by a norm, by two linear layers and an adapter over the first: every way a gradient meets another. */
async function sharedInput(backend: Backend): Promise<Map<string, Float32Array>> {
  const x = parameter(backend, "f32", ["row", "wide"], [rows, width], values(1, rows * width));
  const [w, v] = [weight(backend, 2), weight(backend, 3)];
  const [a, b] = [weight(backend, 4, [8, width]), weight(backend, 5, [width, 8])];
  const norm = parameter(backend, "f32", ["wide"], [width], values(6, width));
  const step = scalar(backend, "i32", 0);
  const attrs = { scale: 2, rate: 0, seed: 1, stream: 1 };
  const made = await gradients(
    new Map<string, Tensor>([
      ["x", x],
      ["a", a],
      ["w", w],
    ]),
    () =>
      scope(() => {
        const h = swiglu(x, rmsNorm(x, norm, 1e-5));
        const first = loraLinear(linear(h, w), h, a.as("rank", "wide"), b.as("out", "rank"), step, attrs);
        const second = linear(h, v);
        return sum(swiglu(add(first, linear(x, v)), second));
      }),
  );
  for (const held of [x, w, v, a, b, norm, step]) held.dispose();
  return made;
}

describe("gradients that meet", () => {
  it("are the reference's, whether products add onto them or not", async () => {
    const [got, want] = [await sharedInput(native), await sharedInput(loops)];
    expect([...got.keys()].sort()).toEqual(["a", "w", "x"]);
    for (const [name, grad] of want)
      expectClose(got.get(name) ?? [], grad, { relative: 1e-5, floor: 1, reason: "f32 sums of some hundred terms" });
  });
});

describe("an output that is made again", () => {
  it("is not kept: the norm and the gate between two layers cost no memory until the backward", () => {
    const [w, norm] = [weight(native, 1), parameter(native, "f32", ["wide"], [width], values(2, width))];
    const x = upload(native, 3);
    const bytes = rows * width * 4;
    let held = 0;
    const { value, grads } = valueAndGrad(new Map([["w", w]]), () => {
      const before = memory(native).bytes;
      const y = scope(() => {
        const gate = linear(x, w).as("row", "wide");
        return linear(swiglu(gate, rmsNorm(gate, norm, 1e-5)), w);
      });
      // gate, the norm's output (swiglu reads it, so it is made again) and y; the unit's own output is not there
      held = memory(native).bytes - before;
      return scope(() => sum(y));
    });
    for (const made of [value, ...grads.values(), w, norm, x]) made.dispose();
    expect(held).toBe(2 * bytes + rows * 4);
  });

  it("is whole for every reader, though the last one's gradient may take its buffer over", async () => {
    const results: Map<string, Float32Array>[] = [];
    for (const backend of [native, loops]) {
      const [a1, a2] = [weight(backend, 1, [4, width]), weight(backend, 2, [4, width])];
      const b = weight(backend, 3, [width, 4]);
      const gate = parameter(backend, "f32", ["row", "wide"], [rows, width], values(4, rows * width));
      const base = upload(backend, 5);
      const step = scalar(backend, "i32", 7);
      const lora = (h: Tensor<"f32", any>, a: Tensor<"f32", any>, stream: number): Tensor<"f32", any> =>
        loraLinear(base.as("row", "out"), h, a.as("rank", "wide"), b.as("out", "rank"), step, {
          scale: 1,
          rate: 0.4,
          seed: 9,
          stream,
        });
      results.push(
        await gradients(
          new Map<string, Tensor>([
            ["a1", a1],
            ["a2", a2],
            ["gate", gate],
          ]),
          () =>
            scope(() => {
              const h = swiglu(gate, gate);
              return sum(swiglu(lora(h, a1, 1), lora(h, a2, 2)));
            }),
        ),
      );
      for (const held of [a1, a2, b, gate, base, step]) held.dispose();
    }
    const [got, want] = results;
    for (const [name, grad] of want ?? [])
      expectClose(got?.get(name) ?? [], grad, { relative: 1e-5, floor: 1, reason: "f32 sums of some hundred terms" });
  });
});
