// A Llama with random weights on a backend, through loadModelFrom: what it needs of a file is only described here.
import { configFromHf, loadModelFrom, parameterShapes } from "@ft/models";
import { DenseLinear } from "@ft/nn";
import { Nf4Linear } from "@ft/quant-nf4";
import { f32ToBf16, f32ToF16, philoxNormal, sizeOf, tensor, toParameter } from "@ft/tensor";
import { quantize4bit, quantize8bit } from "@ft/tensor/ops";
import { mean, minus, normal } from "./normal.mjs";

/**
 * @param {import("@ft/tensor").Backend} backend
 * @param {object} hf config.json
 * @param {{dtype: "f32" | "bf16" | "f16", quantized: boolean}} how `quantized`: NF4 with double quantisation
 */
export async function randomLlama(backend, hf, { dtype, quantized }) {
  const config = configFromHf(hf, "config.json");
  let stream = 0;
  const format = {
    quantMethod: "random",
    companions: () => [],
    async load({ shape }) {
      const weight = normal(backend, dtype, ["out", "in"], shape, stream++);
      return quantized ? await nf4(weight) : new DenseLinear(toParameter(weight));
    },
    entries: () => undefined,
    config: () => ({}),
  };
  return await loadModelFrom(randomSource(config, dtype), { config, quantized: false }, { backend, dtype, format });
}

async function nf4(weight) {
  const { backend, dtype, shape } = weight;
  const facts = { type: "nf4", blockSize: 64 };
  const flat = weight.as("row", "column");
  weight.dispose();
  const { codes, absmax } = quantize4bit(flat, facts);
  flat.dispose();
  const offset = await mean(absmax);
  const rest = minus(absmax, offset);
  absmax.dispose();
  const nested = quantize8bit(rest, { map: "dynamic", blockSize: 256 });
  rest.dispose();
  const nestedAbsmax = nested.absmax.as("nested");
  nested.absmax.dispose();
  return new Nf4Linear(
    {
      ...{ ...facts, shape, axes: ["out", "in"], codes, absmax: nested.codes, nestedAbsmax },
      offset: tensor(backend, "f32", [], [], Float32Array.of(offset)),
    },
    { from: dtype === "f32" ? "f32" : dtype, offset },
  );
}

/** Tables and norms: a block of normal numbers that repeats, and ones. */
function randomSource(config, dtype) {
  const at = philoxNormal(0, 0, 0);
  // its length is prime, so that rows differ
  const block = Float32Array.from({ length: 999_983 }, (_, i) => 0.02 * at(i));
  const stored = { f32: (x) => x, bf16: f32ToBf16, f16: f32ToF16 }[dtype](block);
  const info = ([name, shape]) => [name, { name, dtype, host: dtype, shape, size: sizeOf(shape), bytes: 0 }];
  const tensors = new Map([...parameterShapes(config)].map(info));
  return {
    ...{ format: "safetensors", path: "random weights", metadata: new Map(), tensors },
    async read(name) {
      const { shape, size } = tensors.get(name);
      if (shape.length === 1) return new Float32Array(size).fill(1);
      const data = new stored.constructor(size);
      for (let start = 0; start < size; start += stored.length)
        data.set(stored.subarray(0, Math.min(stored.length, size - start)), start);
      return data;
    },
    async close() {},
    async [Symbol.asyncDispose]() {},
  };
}
