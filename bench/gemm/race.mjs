// The matrix product beside OpenBLAS's: 1024³ and the shapes of SmolLM2-135M at 2048 tokens, forward and input gradient.
import { fileURLToPath } from "node:url";
import { contestant } from "../lib/contestant.mjs";
import { median, table } from "../lib/numbers.mjs";
import { findPython } from "../lib/python.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
// [what, m, n, k, whether the right factor is stored transposed, as a layer's weight is in its forward]
const shapes = [
  ["1024³", 1024, 1024, 1024, 1],
  ["q, o forward", 2048, 576, 576, 1],
  ["k, v forward", 2048, 192, 576, 1],
  ["gate, up forward", 2048, 1536, 576, 1],
  ["down forward", 2048, 576, 1536, 1],
  ["head forward", 512, 49152, 576, 1],
  ["q, o input gradient", 2048, 576, 576, 0],
  ["k, v input gradient", 2048, 576, 192, 0],
  ["gate, up input gradient", 2048, 576, 1536, 0],
  ["down input gradient", 2048, 1536, 576, 0],
  ["head input gradient", 512, 576, 49152, 0],
];

/** Prints the rates of each shape on one thread and on all, and the median over the rounds of their ratio. */
export async function gemmRace({ threads, python: asked, steps }) {
  const python = findPython(asked, ["numpy"]);
  const ours = await contestant("ft", process.execPath, [here("ours.mjs")], {});
  const counts = [...new Set([1, threads])];
  const peers = new Map();
  for (const count of python === undefined ? [] : counts)
    peers.set(
      count,
      await contestant("OpenBLAS", python, [here("../peers/openblas_gemm.py")], {
        OPENBLAS_NUM_THREADS: String(count),
      }),
    );
  const { numpy, blas } = peers.get(1)?.ready ?? {};
  console.log(`\nMatrix product, f32, GFLOP/s${numpy ? `; numpy ${numpy}, ${blas}` : ""}\n`);
  const rounds = 2 * steps - 1;
  const rows = [];
  for (const [what, m, n, k, transB] of shapes) {
    const row = [what, `${m} x ${n} x ${k}`];
    for (const count of counts) {
      const task = { threads: count, m, n, k, transB };
      const [f32, bf16, blas] = [[], [], []];
      for (let round = 0; round < rounds; round++) {
        f32.push((await ours.step({ ...task, products: 0 })).seconds);
        if (peers.size > 0) blas.push((await peers.get(count).step(task)).seconds);
        if (ours.ready.bf16) bf16.push((await ours.step({ ...task, products: 1 })).seconds);
      }
      const rate = (times) => (times.length === 0 ? "" : ((2 * m * n * k) / median(times) / 1e9).toFixed(1));
      const ratio = (times) =>
        times.length === 0 || blas.length === 0 ? "" : median(times.map((s, i) => blas[i] / s)).toFixed(2);
      row.push(rate(f32), rate(blas), ratio(f32), ...(ours.ready.bf16 ? [rate(bf16), ratio(bf16)] : []));
    }
    rows.push(row);
  }
  for (const one of [ours, ...peers.values()]) await one.end();
  const columns = counts.flatMap((count) => [
    `ft, ${count} thr`,
    "OpenBLAS",
    "ratio",
    ...(ours.ready.bf16 ? ["bf16 products", "ratio"] : []),
  ]);
  console.log(table([["", "m x n x k", ...columns], ...rows]));
  return rows;
}
