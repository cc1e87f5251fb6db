// Full fine-tuning of a 1B shape: peak memory with the optimizer's state in a file, and whether one step gives the bytes of
// a run that holds everything in memory.
import { spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { llama1b } from "../lib/llama-1b.mjs";
import { gigabytes } from "../lib/numbers.mjs";
import { makeModel } from "../lib/random-model.mjs";

const ours = fileURLToPath(new URL("ours.mjs", import.meta.url));

/** Prints peak memory and times of one step by placement, and whether the checkpoints are the same. */
export async function fullRace({ threads, placements = ["file", "device"], config = llama1b, seq = 512 }) {
  const model = await makeModel(config);
  console.log(
    `\nFull fine-tuning, 1 x ${seq}, bf16 weights, masters, adamw8bit, checkpointing, one step and a checkpoint\n`,
  );
  try {
    const seen = [];
    for (const placement of placements) {
      const out = join(model.folder, placement);
      const end = await run({ model: model.folder, out, placement, threads, seq });
      const manifest = JSON.parse(await readFile(join(out, "checkpoints", "step-000001", "manifest.json"), "utf8"));
      await rm(out, { recursive: true });
      const { "parameters.safetensors": parameters, "optimizer.safetensors": slots } = manifest.files;
      seen.push({ ...end, hash: `${parameters.sha256} ${slots.sha256}` });
      console.log(
        `${placement.padEnd(8)} peak ${gigabytes(end.memory.resident)}, of it tensors ${gigabytes(end.memory.tensors)}; ` +
          `loss ${end.loss.toFixed(4)}; step ${end.step.toFixed(0)} s, checkpoint ${end.save.toFixed(0)} s`,
      );
    }
    if (seen.length > 1) {
      const same = seen.every(({ hash }) => hash === seen[0].hash);
      console.log(`weights and slots after the step: ${same ? "the same bytes" : "DIFFERENT"}`);
      if (!same) process.exitCode = 1;
    }
    return seen;
  } finally {
    await model.remove();
  }
}

async function run(settings) {
  const child = spawn(process.execPath, [ours, JSON.stringify(settings)], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = new Promise((done) => child.on("close", done));
  const found = {};
  for await (const line of createInterface({ input: child.stdout })) {
    const said = JSON.parse(line);
    if (said.type === "step") Object.assign(found, { loss: said.loss, step: said.seconds });
    if (said.type === "checkpoint") found.save = said.seconds;
    if (said.type === "end") found.memory = said.memory;
  }
  const code = await closed;
  if (code !== 0 || found.memory === undefined) throw new Error(`full, ${settings.placement}: ended with ${code}`);
  return found;
}
