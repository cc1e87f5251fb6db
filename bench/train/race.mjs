// LoRA training of SmolLM2-135M's shape: this project beside PyTorch + PEFT.
import { fileURLToPath } from "node:url";
import { contestant } from "../lib/contestant.mjs";
import { gigabytes, table } from "../lib/numbers.mjs";
import { findPython } from "../lib/python.mjs";
import { race } from "../lib/race.mjs";
import { makeModel } from "../lib/random-model.mjs";
import { loraFlopsPerToken, smollm2 } from "../lib/smollm2.mjs";
import { printProfile } from "./profile.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const [batch, seq, rank] = [4, 512, 16];

/** What takes part: a name, whose it is, and its settings. `best` adds the other ways that each side can train. */
function entrants(best) {
  const modes = [
    { side: "ft", name: "ft f32", checkpointing: false },
    { side: "peer", name: "PyTorch + PEFT f32", dtype: "f32", checkpointing: false },
  ];
  if (!best) return modes;
  return [
    ...modes,
    { side: "ft", name: "ft f32, checkpointing", checkpointing: true },
    { side: "peer", name: "PyTorch + PEFT f32, checkpointing", dtype: "f32", checkpointing: true },
    { side: "peer", name: "PyTorch + PEFT bf16", dtype: "bf16", checkpointing: false },
    { side: "peer", name: "PyTorch + PEFT bf16, checkpointing", dtype: "bf16", checkpointing: true },
  ];
}

/**
 * Prints tokens a second, rates and peak memory of each, and the ratios.
 * @param {{threads: number, python?: string, best: boolean, profile: boolean, steps: number}} options
 */
export async function trainRace({ threads, python: asked, best, profile, steps }) {
  const python = findPython(asked, ["torch", "transformers", "peft"]);
  const model = await makeModel(smollm2);
  try {
    const runners = [];
    for (const { side, name, ...mode } of entrants(best)) {
      if (side === "peer" && python === undefined) continue;
      const settings = JSON.stringify({
        ...mode,
        profile,
        batch,
        seq,
        rank,
        threads,
        config: smollm2,
        model: model.folder,
      });
      const [command, script] =
        side === "ft" ? [process.execPath, here("ours.mjs")] : [python, here("../peers/hf_lora_cpu.py")];
      const env = { OMP_NUM_THREADS: String(threads) };
      runners.push(await contestant(name, command, [script, settings], env));
    }
    const results = await race(runners, { warm: 1, timed: steps });
    report(results, threads);
    for (const { name, end } of results)
      if (end.profile) {
        console.log(`\n${name}`);
        printProfile(end.profile);
      }
    return results;
  } finally {
    await model.remove();
  }
}

function report(results, threads) {
  const flops = loraFlopsPerToken({ config: smollm2, seq, rank });
  const { gemmPeak: peak, engine } = results[0].ready;
  const { torch, transformers, peft } = results.find(({ ready }) => ready.torch)?.ready ?? {};
  console.log(
    `\nLoRA r${rank} on all linear layers, SmolLM2-135M's shape, ${batch} x ${seq} tokens, every position a target, ${threads} threads` +
      (torch ? `\ntorch ${torch}, transformers ${transformers}, peft ${peft}` : ""),
  );
  console.log(
    `this project's GEMM (${engine}) at 1024³ just now: ${(peak / 1e9).toFixed(0)} GFLOP/s; at ${(flops / 1e6).toFixed(0)} MFLOP a token that would be ${(peak / flops).toFixed(0)} tokens/s\n`,
  );
  const tokens = batch * seq;
  const rows = results.map(({ name, seconds, all, end }) => [
    name,
    (tokens / seconds).toFixed(1),
    ((tokens * flops) / seconds / 1e9).toFixed(1),
    seconds.toFixed(2),
    all.map((s) => s.toFixed(2)).join(" "),
    gigabytes(end.peakBytes),
  ]);
  console.log(table([["", "tokens/s", "GFLOP/s", "s/step", "timed steps", "peak memory"], ...rows]));
  const side = (ours) => results.filter(({ name }) => name.startsWith("ft ") === ours);
  const fastest = (of) => of.reduce((a, b) => (b.seconds < a.seconds ? b : a));
  if (side(false).length === 0) return;
  const [us, them] = [fastest(side(true)), fastest(side(false))];
  const f32 = results[1];
  console.log(
    `\n${results[0].name} / ${f32.name}: ${(f32.seconds / results[0].seconds).toFixed(2)}x tokens/s, ${(results[0].end.peakBytes / f32.end.peakBytes).toFixed(3)} of its peak memory`,
  );
  if (results.length > 2)
    console.log(`${us.name} / ${them.name}, the fastest of each: ${(them.seconds / us.seconds).toFixed(2)}x tokens/s`);
}
