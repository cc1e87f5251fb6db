// One measurement of this project, in a process of its own; prints one line of JSON.
//   node bench/cuda/ours.mjs '{"shape": "8b", "method": "lora", "batch": 2, "seq": 2048}'
import { shapes } from "../lib/shapes.mjs";
import { decode } from "./decode.mjs";
import { openBackend } from "./open.mjs";
import { randomLlama } from "./random-llama.mjs";
import { trainSteps } from "./train-steps.mjs";

const defaults = {
  ...{ backend: "cuda", shape: "toy", method: "lora", dtype: "bf16", batch: 1, seq: 128, checkpointing: false },
  ...{ steps: 8, warm: 3, rank: 16, profile: false },
};
const task = { ...defaults, ...JSON.parse(process.argv[2] ?? "{}") };
const started = performance.now();
const seconds = (since) => (performance.now() - since) / 1000;
const config = { ...shapes[task.shape], ...(task.layers && { num_hidden_layers: task.layers }) };
const said = { side: "ft", ...task };
try {
  const opened = await openBackend(task.backend, task);
  const { backend } = opened;
  const loading = performance.now();
  const model = await randomLlama(backend, config, { dtype: task.dtype, quantized: task.method === "qlora" });
  backend.synchronize?.();
  Object.assign(said, { card: backend.card?.name, opened: (loading - started) / 1000, loaded: seconds(loading) });
  opened.restartPeak();
  Object.assign(said, await (task.method === "decode" ? decode : trainSteps)(task, opened, model));
  if (task.method !== "decode" && said.firstAt !== undefined)
    said.fromStart = (said.firstAt + performance.timeOrigin - startOf()) / 1000;
} catch (error) {
  Object.assign(said, { error: `${error?.message ?? error}`, hint: error?.hint });
  if (task.trace) console.error(error);
}
console.log(JSON.stringify(said));
process.exit(said.error === undefined ? 0 : 1);

/** when the command was given, where the parent says so */
function startOf() {
  return Number(process.env.FT_BENCH_SPAWNED ?? performance.timeOrigin);
}
