// The WASM module's product on its one core, beside the native library on one thread.
import { fileURLToPath } from "node:url";
import { contestant } from "../lib/contestant.mjs";
import { median, table } from "../lib/numbers.mjs";

const ours = fileURLToPath(new URL("ours.mjs", import.meta.url));
const shapes = [
  ["512³", 512, 512, 512],
  ["1024³", 1024, 1024, 1024],
  ["q, o forward", 2048, 576, 576],
  ["gate, up forward", 2048, 1536, 576],
];

/** Prints the rates of each shape, the copies into the module's memory included. */
export async function wasmRace({ steps }) {
  const start = (engine) =>
    contestant(engine, process.execPath, [ours], engine === "wasm" ? { FT_NATIVE: "wasm" } : {});
  const [wasm, native] = [await start("wasm"), await start("native")];
  const rows = [];
  for (const [what, m, n, k] of shapes) {
    const task = { threads: 1, m, n, k, transB: 1, products: 0 };
    const times = [[], []];
    for (let round = 0; round < 2 * steps - 1; round++)
      for (const [i, one] of [wasm, native].entries()) times[i].push((await one.step(task)).seconds);
    const rates = times.map((of) => ((2 * m * n * k) / median(of) / 1e9).toFixed(1));
    rows.push([what, `${m} x ${n} x ${k}`, ...rates]);
  }
  for (const one of [wasm, native]) await one.end();
  console.log("\nMatrix product in WASM, f32, one thread, GFLOP/s\n");
  console.log(table([["", "m x n x k", "WASM", "native"], ...rows]));
  return rows;
}
