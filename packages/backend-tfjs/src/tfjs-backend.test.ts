import { memory, parameter, tensor, type View } from "@ft/tensor";
import { dropout } from "@ft/tensor/ops";
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, it } from "vitest";
import { createTfjsBackend, type TfjsBackend } from "./index.ts";

let backend: TfjsBackend;
beforeAll(async () => {
  await tf.setBackend("cpu");
  backend = createTfjsBackend(tf);
});

it("holds one tf tensor per live buffer, also when a buffer is written again", async () => {
  const before = tf.memory().numTensors;
  const x = parameter(backend, "f32", ["n"], [2], Float32Array.of(1, 2));
  const view: View = x.view;
  for (const value of [3, 4]) {
    x.write(Float32Array.of(value, 0));
    backend.primitives.fill({}, { value }, view);
    expect(tf.memory().numTensors).toBe(before + 1);
  }
  expect([...(await x.read())]).toEqual([4, 4]);
  x.dispose();
  expect(tf.memory().numTensors).toBe(before);
  expect(memory(backend).live).toBe(0);
});

it("draws another mask when the step is written again", async () => {
  const x = tensor(backend, "f32", ["n"], [64], new Float32Array(64).fill(1));
  const draw = async (step: number): Promise<number[]> => {
    const at = tensor(backend, "i32", [], [], Int32Array.of(step));
    const y = dropout(x, at, { rate: 0.5, seed: 1, stream: 2 });
    const values = [...(await y.read())];
    for (const made of [at, y]) made.dispose();
    return values;
  };
  const [first, second, again] = [await draw(0), await draw(1), await draw(0)];
  expect(second).not.toEqual(first);
  expect(again).toEqual(first);
  x.dispose();
});

it("says what it holds and what that costs", () => {
  expect(backend.name).toBe("tfjs-cpu");
  expect(backend.bytes({ dtype: "u8", shape: [3] })).toBe(12);
  const data = new Uint16Array(1);
  expect(() => tensor(backend, "bf16", ["n"], [1], data)).toThrow("tfjs-cpu cannot hold bf16; it holds f32, i32");
});
