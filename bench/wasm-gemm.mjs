// Speed of the WASM matrix product on its one thread: the module alone on operands in its memory, and as the backend calls
// it, with operands copied in and the result out. Checked against f64 at some elements.
//   node bench/wasm-gemm.mjs [--runs 12] [--json]
// CPU time, not wall time: WASM has one thread, and a busy machine then disturbs less.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { createCpuBackend } from "../packages/backend-cpu/dist/index.js";

const { values } = parseArgs({
  options: { runs: { type: "string", default: "12" }, json: { type: "boolean", default: false } },
});
const module = readFileSync(new URL("../packages/backend-cpu/wasm/ft_cpu.wasm", import.meta.url));
const { instance } = await WebAssembly.instantiate(module);
const { ft_begin: begin, ft_gemm_f32: gemm, memory } = instance.exports;
const { context } = await createCpuBackend({ engine: "wasm" });

/** The least CPU seconds of a call, after calls enough for the optimizing compiler to have taken over. */
function seconds(call) {
  for (const from = performance.now(); performance.now() - from < 1000; ) call();
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < Number(values.runs); run++) {
    const from = process.cpuUsage();
    call();
    const { user, system } = process.cpuUsage(from);
    best = Math.min(best, (user + system) / 1e6);
  }
  return best;
}

function check(x, w, y, [m, n, k]) {
  for (let at = 0; at < m * n; at += 9973) {
    const [row, column] = [Math.floor(at / n), at % n];
    let exact = 0;
    for (let i = 0; i < k; i++) exact += x[row * k + i] * w[column * k + i];
    if (!(Math.abs(y[at] - exact) < 1e-4)) throw new Error(`element ${at} is ${y[at]}, not ${exact}`);
  }
}

const rows = [];
for (const shape of [
  [512, 512, 512],
  [1024, 1024, 1024],
  [2048, 576, 576],
]) {
  const [m, n, k] = shape;
  const x = new Float32Array(m * k).map((_, i) => ((i * 7919) % 1000) / 1000 - 0.5);
  const w = new Float32Array(n * k).map((_, i) => ((i * 104729) % 1000) / 1000 - 0.5);
  const y = new Float32Array(m * n);
  const a = begin(4 * (x.length + w.length + y.length));
  const [b, c] = [a + x.byteLength, a + x.byteLength + w.byteLength];
  new Float32Array(memory.buffer, a, x.length).set(x);
  new Float32Array(memory.buffer, b, w.length).set(w);
  const [M, N, K] = shape.map(BigInt);
  const inside = seconds(() => gemm(M, N, K, a, K, 0, b, K, 1, c, N, 1, 0));
  check(x, w, new Float32Array(memory.buffer, c, y.length), shape);
  const backend = seconds(() => context.native.gemm_f32(m, n, k, x, k, 0, w, k, 1, y, n, 1, 0));
  check(x, w, y, shape);
  const [module, copied] = [inside, backend].map((s) => (2 * m * n * k) / s / 1e9);
  rows.push({ m, n, k, module, backend: copied });
  if (!values.json)
    console.log(
      `${shape.join(" x ").padEnd(20)} module ${module.toFixed(1).padStart(6)} GFLOP/s   backend ${copied.toFixed(1).padStart(6)}   ratio ${(copied / module).toFixed(2)}`,
    );
}
if (values.json) console.log(JSON.stringify(rows, null, 1));
