// A layer in NF4 with nested statistics beside the same layer in f32, through the public ops, in turns. A line of JSON on
// standard input: {"threads", "rows", "out", "in", "rounds"}.
import { createCpuBackend } from "@ft/backend-cpu";
import { defineOp, parameter, run, scope, tensor, valueAndGrad } from "@ft/tensor";
import { linear, nf4Linear, quantize4bit, quantize8bit } from "@ft/tensor/ops";
import { serve } from "../lib/serve.mjs";

/** Hands a gradient that is there already to y, so that a backward is nothing but the layer's. */
const seedOp = defineOp({
  name: "bench/seed",
  keeps: () => ({ grad: true }),
  infer: ({ in: { y } }) => ({ out: { loss: { dtype: y.dtype, shape: [] } }, saved: {} }),
  forward: (p, { in: { y } }) => ({ out: { loss: p.fill({ dtype: y.dtype, shape: [] }, 0) }, saved: {} }),
  vjp: (_, { kept: { grad } }) => ({ y: grad }),
});

/** About normal, the same for each seed. */
function normals(count, seed, scale = 1) {
  const x = new Float32Array(count);
  let state = seed | 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  };
  for (let i = 0; i < count; i++) x[i] = (uniform() + uniform() + uniform()) * scale;
  return x;
}

/** NF4 in blocks of 64, the absmax in 8 bits in blocks of 256 around its mean. */
async function packed(backend, weight, shape) {
  const blockSize = 64;
  const { codes, absmax } = quantize4bit(weight, { type: "nf4", blockSize });
  const plain = await absmax.read();
  const mean = Math.fround(plain.reduce((sum, x) => sum + x, 0) / plain.length);
  const centred = tensor(
    backend,
    "f32",
    ["block"],
    [plain.length],
    plain.map((x) => x - mean),
  );
  const nested = quantize8bit(centred, { map: "dynamic" });
  return {
    ...{ type: "nf4", blockSize, shape, axes: ["out", "in"], codes },
    absmax: nested.codes,
    nestedAbsmax: nested.absmax.as("nested"),
    offset: tensor(backend, "f32", [], [], Float32Array.of(mean)),
  };
}

const backends = new Map();

await serve({
  async step({ threads, rows, out, in: inner, rounds }) {
    if (!backends.has(threads)) backends.set(threads, await createCpuBackend({ threads }));
    const backend = backends.get(threads);
    const weight = tensor(backend, "f32", ["out", "in"], [out, inner], normals(out * inner, 1, 0.02));
    const nf4 = await packed(backend, weight, [out, inner]);
    const x = parameter(backend, "f32", ["row", "in"], [rows, inner], normals(rows * inner, 2));
    const grad = tensor(backend, "f32", ["row", "out"], [rows, out], normals(rows * out, 3));
    const layers = [() => linear(x, weight), () => nf4Linear(x, nf4)];
    const once = (layer) =>
      scope(() => {
        const from = performance.now();
        let between = from;
        const { value } = valueAndGrad(new Map([["x", x]]), () => {
          const y = layer();
          between = performance.now();
          return run(seedOp, { in: { y, grad }, attrs: {}, axes: { loss: [] } }).loss;
        });
        return { value, forward: between - from, backward: performance.now() - between };
      });
    const times = layers.map(() => ({ forward: [], backward: [] }));
    for (const layer of layers) once(layer);
    for (let round = 0; round < rounds; round++)
      for (const [i, layer] of layers.entries()) {
        const { forward, backward } = once(layer);
        times[i].forward.push(forward / 1000);
        times[i].backward.push(backward / 1000);
      }
    for (const one of [weight, x, grad, nf4.codes, nf4.absmax, nf4.nestedAbsmax, nf4.offset]) one.dispose();
    return { f32: times[0], nf4: times[1] };
  },
});
