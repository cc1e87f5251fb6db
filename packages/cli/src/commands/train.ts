import { join } from "node:path";
import { checkVocabulary } from "@ft/data";
import { loadModel, uploadBatch } from "@ft/models";
import { FtError } from "@ft/tensor";
import { checkpointPath, countSteps, loadParameters, train } from "@ft/trainer";
import { readConfigFile, resolveConfig } from "../config/read-config.ts";
import type { PartialConfig } from "../config/train-config.ts";
import type { Io } from "../io.ts";
import { openBackend, openTemplate, openTokenizer } from "../run/open-model.ts";
import { heldOutLoss } from "../train/evaluate.ts";
import { optimizerOf, scheduleOf } from "../train/optimizer.ts";
import { prepareRows, type TrainingRows } from "../train/rows.ts";
import { type Trainables, trainablesOf } from "../train/trainables.ts";

/** `ft train`: rows and a model in, an adapter or a model out. */
export async function trainCommand(
  file: string | undefined,
  flags: PartialConfig,
  io: Io,
  signal: AbortSignal,
): Promise<void> {
  const config = resolveConfig(file === undefined ? {} : await readConfigFile(file), flags);
  const backend = await openBackend(config.backend, config.threads);
  const tokenizer = await openTokenizer(config.model);
  const template = await openTemplate(tokenizer, config.chatTemplate);
  using model = await loadModel(config.model, { backend });
  checkVocabulary(tokenizer, model.config.vocabSize, config.model);
  const rows = await prepareRows(config, tokenizer, template, model.config.maxPositions);
  const trainables = trainablesOf(config, model);
  describeRun(
    io,
    rows,
    trainables,
    `${backend.name}, ${backend.threads} threads${backend.native ? "" : ", reference loops"}`,
  );

  const { training, heldOut } = rows;
  const { accumulation, epochs, maxSteps, clipNorm, patience, minDelta, keep, resume } = config;
  const length = {
    ...(maxSteps !== undefined && { maxSteps }),
    ...(epochs !== undefined ? { epochs } : maxSteps === undefined && { epochs: 3 }),
  };
  const totalSteps = countSteps({ perEpoch: training.perEpoch, accumulation, ...length });
  const every = config.evalEvery ?? Math.max(1, Math.ceil(totalSteps / 10));
  const run = async (at: AbortSignal | undefined): Promise<{ loss: number; perplexity: number }> => {
    trainables.evaluate();
    return heldOutLoss(model, heldOut!, at);
  };
  const events = train({
    parameters: trainables.parameters,
    loss: (batch) =>
      model.loss(uploadBatch(backend, batch, model.config.vocabSize), { checkpointing: config.checkpointing }).loss,
    batches: training,
    optimizer: optimizerOf(config),
    schedule: scheduleOf(config, totalSteps),
    ...length,
    accumulation,
    ...(clipNorm > 0 && { clipNorm }),
    ...(heldOut && { evaluate: { every, atStart: true, run } }),
    ...(patience !== undefined && { earlyStopping: { patience, minDelta } }),
    checkpoint: { dir: join(config.out, "checkpoints"), every: config.saveEvery ?? every, keep },
    resume,
    signal,
    beforeMicroBatch: ({ draw }) => trainables.train(draw),
  });
  for await (const event of events) {
    if (event.type === "step" && event.step % 10 === 0)
      io.note(`step ${event.step}  loss ${event.loss.toFixed(4)}  ${event.tokensPerSecond.toFixed(0)} tok/s`);
    if (event.type === "eval") io.note(`eval ${event.step} loss ${event.loss.toFixed(4)}`);
    if (event.type === "end" && event.reason === "aborted")
      throw new FtError(
        "interrupted",
        `stopped after step ${event.step}; the checkpoint is written`,
        "run the same command with --resume to continue",
      );
    if (event.type === "end" && event.bestStep !== undefined && event.bestStep !== event.step)
      await loadParameters(checkpointPath(join(config.out, "checkpoints"), event.bestStep), trainables.parameters);
  }
  const saved = await trainables.save();
  io.print(saved);
  io.document({ out: config.out, saved });
}

function describeRun(
  io: Io,
  { stats, heldOutStats }: TrainingRows,
  { trainable, total }: Trainables,
  where: string,
): void {
  io.note(`backend     ${where}`);
  io.note(`rows        ${stats.examples} to train on, ${heldOutStats?.examples ?? 0} held out`);
  if (stats.truncated > 0)
    io.note(`            ${stats.truncated} were cut at the end, ${stats.cutTokens} tokens in all`);
  if (stats.dropped > 0) io.note(`            ${stats.dropped} were left out, too long`);
  io.note(`trainable   ${trainable} of ${total} (${((100 * trainable) / total).toFixed(2)} %)`);
}
