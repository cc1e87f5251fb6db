// Speed of the native matrix product: 1024³ and the shapes of SmolLM2-135M training, on 1 and 2 threads.
//   node bench/gemm.mjs [--filter regex] [--threads 1,2] [--seconds 0.5] [--json]
// Compare with bench/openblas_gemm.py on the same cores in the same minute.
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildNative } from "../packages/backend-cpu/tools/build-native.mjs";

const { values } = parseArgs({
  options: {
    filter: { type: "string", default: "." },
    threads: { type: "string", default: "1,2" },
    seconds: { type: "string", default: "0.5" },
    json: { type: "boolean", default: false },
  },
});

// koffi is a dependency of the backend package, not of the root
const require = createRequire(fileURLToPath(new URL("../packages/backend-cpu/package.json", import.meta.url)));
const koffi = require("koffi");
const { library, status, message } = await buildNative();
if (status === "no-compiler" || status === "failed") throw new Error(message);
const lib = koffi.load(join(library));
const init = lib.func("int ft_init(int)");
const level = lib.func("int ft_level()");
const gemm = lib.func(
  "void ft_gemm_f32(int64_t, int64_t, int64_t, const float *, int64_t, int, const float *, int64_t, int, float *, int64_t, float, int)",
);

// fwd: y[M,N] = x·Wᵀ, W stored [N,K]; dx[M,K] = dy[M,N]·W; dw[N,K] = dyᵀ·x. Rows give M, N, K of the layer.
const layers = [
  ["1024³", 1024, 1024, 1024],
  ["q/o", 2048, 576, 576],
  ["k/v", 2048, 192, 576],
  ["gate/up", 2048, 1536, 576],
  ["down", 2048, 576, 1536],
  ["head", 512, 49152, 576],
  ["lora A", 2048, 16, 576],
  ["lora A down", 2048, 16, 1536],
  ["lora B", 2048, 576, 16],
  ["lora B gate", 2048, 1536, 16],
  ["prefill 32", 32, 576, 576],
  ["decode q", 1, 576, 576],
  ["decode gate", 1, 1536, 576],
  ["decode head", 1, 49152, 576],
];

function fill(n) {
  const x = new Float32Array(n);
  let s = n | 1;
  for (let i = 0; i < n; i++) {
    s = (Math.imul(s, 1664525) + 1013904223) | 0;
    x[i] = s / 2 ** 31;
  }
  return x;
}

function time(run, seconds) {
  run();
  let best = Number.POSITIVE_INFINITY;
  const end = performance.now() + seconds * 1000;
  do {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  } while (performance.now() < end);
  return best / 1000;
}

const threads = values.threads.split(",").map(Number);
const rows = [];
for (const [name, M, N, K] of layers) {
  if (!["fwd", "dx", "dw"].some((op) => new RegExp(values.filter).test(`${op} ${name}`))) continue;
  const x = fill(M * K);
  const w = fill(N * K);
  const y = fill(M * N);
  const ops = {
    fwd: (out) => gemm(M, N, K, x, K, 0, w, K, 1, out, N, 1, 0),
    dx: (out) => gemm(M, K, N, y, N, 0, w, K, 0, out, K, 1, 0),
    dw: (out) => gemm(N, K, M, y, N, 1, x, K, 0, out, K, 1, 0),
  };
  for (const [op, call] of Object.entries(ops)) {
    if (!new RegExp(values.filter).test(`${op} ${name}`)) continue;
    if (M === 1 && op === "dw") continue;
    const out = new Float32Array(op === "fwd" ? M * N : op === "dx" ? M * K : N * K);
    const rates = threads.map((n) => {
      init(n);
      return (2 * M * N * K) / time(() => call(out), Number(values.seconds)) / 1e9;
    });
    rows.push({ op, name, M, N, K, gflops: Object.fromEntries(threads.map((n, i) => [n, rates[i]])) });
    if (!values.json) {
      const cells = rates.map((r) => r.toFixed(1).padStart(8)).join("");
      console.log(
        `${op.padEnd(4)}${name.padEnd(12)}${String(M).padStart(6)}${String(N).padStart(7)}${String(K).padStart(6)}${cells}`,
      );
    }
  }
}
if (values.json) console.log(JSON.stringify({ level: level(), threads, rows }, null, 1));
