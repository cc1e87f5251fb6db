import { createCpuBackend } from "@ft/backend-cpu";
import {
  type Backend,
  memory,
  type Parameter,
  parameter,
  philoxNormal,
  type Tensor,
  tensor,
  valueAndGrad,
} from "@ft/tensor";
import { linear as denseLinear, sum } from "@ft/tensor/ops";
import { expectClose } from "@ft/testing";
import { beforeAll, describe, expect, it } from "vitest";
import { hostWeight, type Nf4Linear, quantizeTo4bit } from "../src/index.ts";
import { take } from "./support.ts";

const [rows, inner, outer] = [40, 96, 70];
const normals = (n: number, stream: number): Float32Array<ArrayBuffer> => {
  const normal = philoxNormal(11, stream, 0);
  return Float32Array.from({ length: n }, (_, i) => normal(i));
};
let backend: Backend;
beforeAll(async () => {
  backend = await createCpuBackend();
});

async function make(doubleQuant: boolean): Promise<Nf4Linear> {
  using weight = parameter(backend, "f32", ["out", "in"], [outer, inner], normals(outer * inner, 1));
  const bias = parameter(backend, "f32", ["out"], [outer], normals(outer, 2));
  return quantizeTo4bit(backend, await hostWeight("w", weight), { type: "nf4", blockSize: 64, doubleQuant }, bias);
}

describe.each([true, false])("an Nf4Linear, double quantisation %s", (doubleQuant) => {
  it("multiplies by the weight that materialize gives, and so does its backward; the bias trains", async () => {
    const quantized = await make(doubleQuant);
    const dense = quantized.materialize("f32");
    const x = parameter(backend, "f32", ["row", "in"], [rows, inner], normals(rows * inner, 3));
    const bias = quantized.bias!;
    const parameters = new Map<string, Parameter>([
      ["x", x],
      ["bias", bias],
    ]);
    const [a, b] = [
      valueAndGrad(parameters, () => sum(quantized.apply(x))),
      valueAndGrad(parameters, () => sum(denseLinear(x, dense, bias))),
    ];
    const bound = { relative: 1e-5, reason: "sums of 96 terms in f32, in another order" };
    for (const name of parameters.keys())
      expectClose(await take(a.grads.get(name)!), await take(b.grads.get(name)!), bound, name);
    expectClose(await take(a.value), await take(b.value), bound, "sum");
    expect([...quantized.parameters().keys()]).toEqual(["bias"]);
    for (const held of [quantized, dense, x]) held.dispose();
  });

  it("keeps nothing for its backward but what it holds anyway", async () => {
    const quantized = await make(doubleQuant);
    const x = parameter(backend, "f32", ["row", "in"], [rows, inner], normals(rows * inner, 3));
    let [before, during] = [0, 0];
    const { value, grads } = valueAndGrad(new Map([["x", x]]), () => {
      before = memory(backend).bytes;
      const y: Tensor<"f32", readonly ["row", "out"]> = quantized.apply(x);
      during = memory(backend).bytes;
      return sum(y);
    });
    expect(during - before).toBe(4 * rows * outer);
    for (const held of [quantized, x, value, ...grads.values()]) held.dispose();
  });

  it("says what it holds, in bytes", async () => {
    const quantized = await make(doubleQuant);
    const blocks = (inner * outer) / 64;
    const statistics = doubleQuant ? blocks + 4 + 4 : 4 * blocks;
    expect(quantized.bytes).toBe((inner * outer) / 2 + statistics + 4 * outer);
    const { live } = memory(backend);
    quantized.dispose();
    expect(memory(backend).live).toBe(live - (doubleQuant ? 5 : 3));
  });
});

it("takes a bf16 input where the backend has bf16, and gives bf16", async () => {
  const quantized = await make(true);
  const data = new Uint16Array(rows * inner).fill(0x3f80);
  using x = tensor(backend, "bf16", ["row", "in"], [rows, inner], data);
  const y = quantized.apply(x);
  expect([y.dtype, y.shape]).toEqual(["bf16", [rows, outer]]);
  y.dispose();
  quantized.dispose();
});
