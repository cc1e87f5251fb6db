// Speed of the native matrix product: 1024³ and the shapes of SmolLM2-135M training, on 1 and 2 threads.
//   node bench/gemm.mjs [--filter regex] [--threads 1,2] [--seconds 0.5] [--json]
//                       [--storage bf16,f16,int8,nf4] [--rows 2048] [--products bf16]
// With --storage: how long weights stored so take against f32 weights, measured in turns. With --products bf16: how many
// times as fast products of bf16 are as products of f32, for f32 weights and each storage; samples are checked first.
// `npm run bench -- gemm` has OpenBLAS beside it.
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
    storage: { type: "string", default: "" },
    rows: { type: "string" },
    products: { type: "string", default: "f32" },
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
const product = lib.func(
  "int ft_gemm(int64_t, int64_t, int64_t, const float *, int64_t, int, const void *, int, const float *, int64_t, int64_t, int, float *, int64_t, float, int, int)",
);

if (!["f32", "bf16"].includes(values.products)) throw new Error(`no products of ${values.products}: f32, bf16`);
const bf16 = values.products === "bf16";
if (bf16 && product(0, 0, 0, null, 0, 0, null, 0, null, 0, 0, 0, null, 0, 1, 0, 1) !== 0)
  throw new Error(`level ${level()} has no products of bf16`);

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

const storages = ["f32", "bf16", "f16", "int8", "nf4"];
const chosen = ["f32", ...values.storage.split(",").filter(Boolean)];
for (const name of chosen) if (!storages.includes(name)) throw new Error(`no storage ${name}: ${storages.join(", ")}`);

/** A weight [rows, columns] in the named storage, of arbitrary but ordinary values. */
function weight(name, rows, columns) {
  const storage = storages.indexOf(name);
  const n = rows * columns;
  if (name === "f32") return { data: fill(n), storage, scales: null };
  const bytes = new Uint8Array(name === "nf4" ? n / 2 : name === "int8" ? n : 2 * n);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2654435761) >>> 13;
  if (name === "nf4") return { data: bytes, storage, scales: fill(n / 64).map(Math.abs) };
  if (name === "int8") return { data: bytes, storage, scales: fill(rows).map(Math.abs) };
  const data = new Uint16Array(bytes.buffer);
  for (let i = 0; i < n; i++) data[i] = (data[i] & 0x87ff) | (name === "bf16" ? 0x3c00 : 0x3000);
  return { data, storage, scales: null };
}

/**
 * Checks 300 elements of the product in `out`, [rows, columns] over K, against f64. `term(i, j, k)` gives both factors.
 * Two roundings to bf16 move a term by at most 2^-8 of it (and a little, for their product and the sum).
 */
function check(what, out, columns, K, term) {
  for (let s = 0; s < 300; s++) {
    const at = Math.floor((s / 300) * out.length);
    let [sum, size] = [0, 0];
    for (let k = 0; k < K; k++) {
      const [a, b] = term(Math.floor(at / columns), at % columns, k);
      sum += a * b;
      size += Math.abs(a * b);
    }
    const error = Math.abs(out[at] - sum) / size;
    if (!(error < 1.01 * 2 ** -8)) throw new Error(`${what}: element ${at} is ${out[at]} instead of ${sum}`);
  }
}

function fill(n) {
  const x = new Float32Array(n);
  let s = n | 1;
  for (let i = 0; i < n; i++) {
    s = (Math.imul(s, 1664525) + 1013904223) | 0;
    x[i] = s / 2 ** 31;
  }
  return x;
}

/** Best seconds of each call, run in turns for `seconds` each. */
function time(calls, seconds) {
  const best = calls.map(() => Number.POSITIVE_INFINITY);
  for (const call of calls) call();
  const end = performance.now() + seconds * 1000 * calls.length;
  do {
    for (const [i, call] of calls.entries()) {
      const start = performance.now();
      call();
      best[i] = Math.min(best[i], (performance.now() - start) / 1000);
    }
  } while (performance.now() < end);
  return best;
}

const threads = values.threads.split(",").map(Number);
const rows = [];
for (const [name, usual, N, K] of layers) {
  const M = values.rows ? Number(values.rows) : usual;
  const wanted = (op) =>
    new RegExp(values.filter).test(`${op} ${name}`) && !(op === "dw" && (M === 1 || chosen.length > 1));
  if (!["fwd", "dx", "dw"].some(wanted)) continue;
  const x = fill(M * K);
  const y = fill(M * N);
  const weights = chosen.map((storage) => weight(storage, N, K));
  const forms = {
    fwd: (w, out, kind) => product(M, N, K, x, K, 0, w.data, w.storage, w.scales, 64, K, 1, out, N, 1, 0, kind),
    dx: (w, out, kind) => product(M, K, N, y, N, 0, w.data, w.storage, w.scales, 64, K, 0, out, K, 1, 0, kind),
    dw: (_, out, kind) => product(N, K, M, y, N, 1, x, 0, null, 0, K, 0, out, K, 1, 0, kind),
  };
  const [w] = weights;
  const checks = {
    fwd: (out) => check(`fwd ${name}`, out, N, K, (i, j, k) => [x[i * K + k], w.data[j * K + k]]),
    dx: (out) => check(`dx ${name}`, out, K, N, (i, j, k) => [y[i * N + k], w.data[k * K + j]]),
    dw: (out) => check(`dw ${name}`, out, K, M, (i, j, k) => [y[k * N + i], x[k * K + j]]),
  };
  for (const op of ["fwd", "dx", "dw"].filter(wanted)) {
    const out = new Float32Array(op === "fwd" ? M * N : op === "dx" ? M * K : N * K);
    const calls = weights.map((w) => () => forms[op](w, out, 0));
    if (bf16) {
      calls.splice(1, calls.length - 1, ...weights.map((w) => () => forms[op](w, out, 1)));
      calls[1]();
      checks[op](out);
    }
    const seconds = threads.map((n) => {
      init(n);
      return time(calls, Number(values.seconds));
    });
    const rates = seconds.map(([plain]) => (2e-9 * M * N * K) / plain);
    const ratios = seconds.map(([plain, ...others]) => others.map((s) => (bf16 ? plain / s : s / plain)));
    const columns = bf16
      ? { speedOfBf16Products: ratios, storage: chosen }
      : { timeAgainstF32: ratios, storage: chosen.slice(1) };
    rows.push({ op, name, M, N, K, threads, gflops: rates, ...columns });
    if (values.json) continue;
    const cells = rates.map((r, i) => [r.toFixed(1).padStart(8), ...ratios[i].map((x) => x.toFixed(3).padStart(7))]);
    const shape = [M, N, K].map((size) => String(size).padStart(6)).join("");
    console.log(`${op.padEnd(4)}${name.padEnd(12)}${shape}${cells.flat().join("")}`);
  }
}
if (values.json) console.log(JSON.stringify({ level: level(), rows }, null, 1));
