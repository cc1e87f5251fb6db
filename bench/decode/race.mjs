// Decoding SmolLM2-135M's shape at batch 1: generate() beside transformers.
import { fileURLToPath } from "node:url";
import { contestant } from "../lib/contestant.mjs";
import { gigabytes, table } from "../lib/numbers.mjs";
import { findPython } from "../lib/python.mjs";
import { race } from "../lib/race.mjs";
import { makeModel } from "../lib/random-model.mjs";
import { smollm2 } from "../lib/smollm2.mjs";
import { printProfile } from "../train/profile.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const [promptLength, tokens] = [32, 128];

/** Prints tokens a second and peak memory of each, and the ratios. */
export async function decodeRace({ threads, python: asked, profile, steps }) {
  const python = findPython(asked, ["torch", "transformers"]);
  const model = await makeModel(smollm2);
  try {
    const prompt = Array.from({ length: promptLength }, (_, i) => 100 + 37 * i);
    const settings = { model: model.folder, prompt, tokens, threads, profile };
    const runners = [await contestant("ft", process.execPath, [here("ours.mjs"), JSON.stringify(settings)], {})];
    for (const dtype of python === undefined ? [] : ["f32", "bf16"]) {
      const args = [here("../peers/hf_generate_cpu.py"), JSON.stringify({ ...settings, dtype })];
      runners.push(await contestant(`transformers ${dtype}`, python, args, {}));
    }
    const results = await race(runners, { warm: 1, timed: steps });
    console.log(
      `\nDecoding, SmolLM2-135M's shape in bf16, batch 1, ${tokens} tokens after ${promptLength}, greedy, ${threads} threads (the prompt's time included)\n`,
    );
    const rate = ({ seconds }) => tokens / seconds;
    const rows = results.map((one) => [
      one.name,
      rate(one).toFixed(1),
      one.all.map((s) => s.toFixed(2)).join(" "),
      gigabytes(one.end.peakBytes),
    ]);
    console.log(table([["", "tokens/s", "timed answers, s", "peak memory"], ...rows]));
    const [ours, ...peers] = results;
    for (const peer of peers)
      console.log(`${ours.name} / ${peer.name}: ${(rate(ours) / rate(peer)).toFixed(2)}x tokens/s`);
    if (ours.end.profile) printProfile(ours.end.profile);
    return results;
  } finally {
    await model.remove();
  }
}
