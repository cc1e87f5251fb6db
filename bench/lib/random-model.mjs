// Hugging Face folders with random weights: speed and memory do not depend on what they are.
//   node bench/lib/random-model.mjs llama-1b FOLDER
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configFromHf, parameterShapes } from "@ft/models";
import { f32ToBf16, philoxNormal, sizeOf } from "@ft/tensor";
import { writeSafetensors } from "@ft/weights";
import { llama1b } from "./llama-1b.mjs";
import { smollm2 } from "./smollm2.mjs";

const configs = { "llama-1b": llama1b, smollm2 };

/** Writes config.json and model.safetensors in bf16: matrices ~ N(0, 0.02), norms 1. Holds one block of numbers at a time. */
export async function writeRandomModel(folder, config) {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  const normal = philoxNormal(0, 0, 0);
  // One block, repeated: drawing each weight would take longer than what is measured. Its length is prime, so that rows differ.
  const block = f32ToBf16(Float32Array.from({ length: 999_983 }, (_, i) => 0.02 * normal(i)));
  const ones = f32ToBf16(Float32Array.of(1));
  const entries = [...parameterShapes(configFromHf(config, "config.json"))].map(([name, shape]) => ({
    name,
    dtype: "bf16",
    shape,
    data: () => repeated(shape.length === 1 ? ones : block, sizeOf(shape)),
  }));
  await writeSafetensors(join(folder, "model.safetensors"), entries);
}

/** The same in a folder of its own in the system's place for such; `remove` deletes it. */
export async function makeModel(config) {
  const folder = await mkdtemp(join(tmpdir(), "ft-bench-"));
  await writeRandomModel(folder, config);
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

async function* repeated(block, count) {
  for (let at = 0; at < count; at += block.length) yield block.subarray(0, Math.min(block.length, count - at));
}

if (process.argv[1] === import.meta.filename) {
  const [, , name, folder] = process.argv;
  if (configs[name] === undefined || folder === undefined) {
    console.error(`usage: node bench/lib/random-model.mjs ${Object.keys(configs).join(" | ")} FOLDER`);
    process.exit(2);
  }
  await writeRandomModel(folder, configs[name]);
}
