// Training steps through the trainer's own loop: LoRA, QLoRA, or all weights.
import { applyLora } from "@ft/lora";
import { uploadBatch } from "@ft/models";
import { adamw, constant, withMasterWeights, withStochasticRounding } from "@ft/optim";
import { optimizers8bit } from "@ft/optim-8bit";
import { train } from "@ft/trainer";
import { median } from "../lib/numbers.mjs";
import { fixedBatch } from "./ids.mjs";
import { profileOf } from "./profile.mjs";

/**
 * @param {any} task see ours.mjs; `optimizer`: "adamw" | "adamw8bit", `master`: full fine-tuning keeps f32 masters
 *   instead of rounding by chance, `lossScale`: options of the trainer, `placement`: of the optimizer's state
 */
export async function trainSteps(task, { backend, work, takeWaited, memory }, model) {
  const { method, batch, seq, checkpointing, steps, warm, rank } = task;
  const { vocabSize } = model.config;
  const adapter = method === "full" ? undefined : applyLora(model, { r: rank, alpha: 2 * rank });
  const data = fixedBatch({ batch, seq, vocabSize });
  const events = train({
    parameters: (adapter ?? model).parameters(),
    upload: (one) => uploadBatch(backend, one, vocabSize),
    loss: (_, inputs) => model.loss(inputs, { checkpointing }).loss,
    batches: { perEpoch: 1_000_000, batchAt: () => data },
    optimizer: optimizerOf(task),
    ...(task.placement && { optimizerPlacement: task.placement }),
    schedule: constant({ learningRate: task.learningRate ?? 2e-5, totalSteps: warm + steps }),
    maxSteps: warm + steps,
    clipNorm: 1,
    ...(task.lossScale && { lossScale: task.lossScale }),
    beforeMicroBatch: ({ draw }) => adapter?.train(draw),
  });
  await events.next(); // "start"
  const from = performance.now();
  const all = [];
  const host = [];
  const scales = [];
  let [last, firstAt, first, losses] = [from, 0, 0, []];
  let warmed;
  takeWaited();
  for await (const event of events) {
    if (event.type !== "step") continue;
    const now = performance.now();
    const waited = takeWaited();
    if (event.step === 1) [firstAt, first] = [now, (now - from) / 1000];
    if (event.step > warm) {
      all.push((now - last) / 1000);
      host.push(now - last - waited);
    }
    if (event.step === warm) {
      work?.reset();
      warmed = { made: memory().made, rss: process.memoryUsage.rss(), cpu: process.cpuUsage(), at: now };
    }
    losses.push(event.loss);
    if (task.lossScale) scales.push([event.lossScale, event.skipped === true]);
    last = performance.now();
  }
  const cpu = process.cpuUsage(warmed?.cpu);
  const wall = warmed ? (last - warmed.at) / 1000 : Number.NaN;
  const step = median(all);
  return {
    tokensPerSecond: (batch * seq) / step,
    step,
    first,
    firstAt,
    loss: [losses[0], losses.at(-1)],
    ...memory(),
    /** after the warm-up: requests to the driver for memory, growth of the process */
    steady: { made: memory().made - (warmed?.made ?? 0), rss: process.memoryUsage.rss() - (warmed?.rss ?? 0) },
    /** milliseconds of a step in which the host did not wait; its processor time, busy waiting included */
    host: { milliseconds: median(host), share: median(host) / 1000 / step, cpu: (cpu.user + cpu.system) / 1e6 / wall },
    ...(task.lossScale && { scales }),
    ...(work && { profile: profileOf(work, { steps: all.length, seconds: wall }) }),
  };
}

function optimizerOf({ method, optimizer = method === "lora" ? "adamw" : "adamw8bit", master = false }) {
  const inner = optimizer === "adamw" ? adamw({ weightDecay: 0 }) : optimizers8bit[optimizer]({ weightDecay: 0 });
  if (method !== "full") return inner;
  return master ? withMasterWeights(inner) : withStochasticRounding(inner);
}
