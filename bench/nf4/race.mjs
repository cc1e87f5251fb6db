// Layers in NF4 with nested statistics beside the same layers in f32: forward and input gradient, at the shapes of
// Llama-3.2-1B and SmolLM2-135M.
import { fileURLToPath } from "node:url";
import { contestant } from "../lib/contestant.mjs";
import { median, table } from "../lib/numbers.mjs";

const ours = fileURLToPath(new URL("ours.mjs", import.meta.url));
// [what, out, in]
const layers = [
  ["Llama-3.2-1B q, o", 2048, 2048],
  ["Llama-3.2-1B k, v", 512, 2048],
  ["Llama-3.2-1B gate, up", 8192, 2048],
  ["Llama-3.2-1B down", 2048, 8192],
  ["SmolLM2-135M q, o", 576, 576],
  ["SmolLM2-135M k, v", 192, 576],
  ["SmolLM2-135M gate, up", 1536, 576],
  ["SmolLM2-135M down", 576, 1536],
];

/** Prints the time of NF4 over that of f32: the median over rounds in which the two take turns. */
export async function nf4Race({ threads, steps }) {
  const layer = await contestant("ft", process.execPath, [ours], {});
  const rows = [];
  for (const [what, out, inner] of layers)
    for (const count of [256, 2048]) {
      const flops = 2 * count * out * inner;
      // small products need more rounds
      const rounds = Math.min(60, Math.max(2 * steps - 1, Math.round((steps * 2e10) / flops)));
      const { f32, nf4 } = await layer.step({ threads, rows: count, out, in: inner, rounds });
      const row = [what, `${out} x ${inner}`, count];
      for (const part of ["forward", "backward"]) {
        row.push((flops / median(f32[part]) / 1e9).toFixed(1), (flops / median(nf4[part]) / 1e9).toFixed(1));
        row.push(median(nf4[part].map((seconds, i) => seconds / f32[part][i])).toFixed(3));
      }
      rows.push(row);
    }
  await layer.end();
  console.log(`\nNF4 with nested statistics beside f32, ${threads} threads, GFLOP/s and time over that of f32\n`);
  const columns = ["forward f32", "NF4", "time", "input gradient f32", "NF4", "time"];
  console.log(table([["", "weight", "rows", ...columns], ...rows]));
  return rows;
}
