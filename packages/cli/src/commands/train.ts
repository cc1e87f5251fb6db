import { checkVocabulary } from "@ft/data";
import { loadModel } from "@ft/models";
import { FtError } from "@ft/tensor";
import {
  checkpointPath,
  loadParameters,
  metricsLog,
  progressLog,
  runDirectory,
  type TrainEvent,
  tensorBoardLog,
  watched,
} from "@ft/trainer";
import { readConfigFile, resolveConfig } from "../config/read-config.ts";
import type { PartialConfig } from "../config/train-config.ts";
import type { Io } from "../io.ts";
import { openBackend, openTemplate, openTokenizer } from "../run/open-model.ts";
import { recordOf } from "../train/record.ts";
import { prepareRows, type TrainingRows } from "../train/rows.ts";
import { runTraining } from "../train/run.ts";
import { type Trainables, trainablesOf } from "../train/trainables.ts";

/** `ft train`: rows and a model in, an adapter or a model out. Nothing is written before everything has been checked. */
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
  const record = await recordOf(config);
  const { resume } = config;
  await using directory = await runDirectory(config.out, { resume, record: { ...record } });
  const native = backend.native ? `native kernels, ${backend.threads} threads` : "reference loops";
  describeRun(io, rows, trainables, `${backend.name}, ${native}`);

  const { checkpoints } = directory;
  const events = runTraining({ config, record, model, rows, trainables, checkpoints, signal });
  const logs = [metricsLog(config.out), tensorBoardLog(config.out), progressLog({ stream: io.progress })];
  const summary = await follow(watched(events, logs));
  if (summary.reason === "aborted") {
    const state = summary.step === 0 ? "nothing was learnt yet" : "a checkpoint is written";
    throw new FtError(
      "interrupted",
      `stopped after step ${summary.step}; ${state}`,
      "run the same command with --resume to continue",
    );
  }
  // the weights of the lowest held-out loss are the result, not those of the last step
  const { bestStep } = summary;
  if (bestStep !== undefined && bestStep !== summary.step)
    await loadParameters(checkpointPath(checkpoints, bestStep), trainables.parameters);
  const saved = await trainables.save();
  io.note(`saved       ${saved}${bestStep === undefined ? "" : `, the weights of step ${bestStep}`}`);
  const { trainable, total } = trainables;
  io.document({ out: config.out, saved, method: config.method, trainable, total, ...rows.stats, ...summary });
}

interface Summary {
  step: number;
  reason: string;
  bestStep?: number;
  bestLoss?: number;
  /** held-out loss before the first step */
  firstLoss?: number;
  tokensPerSecond?: number;
  seconds: number;
}

/** Runs to the end of the events and keeps what the caller wants to know. */
async function follow(events: AsyncGenerator<TrainEvent, void, undefined>): Promise<Summary> {
  const begun = performance.now();
  const summary: Summary = { step: 0, reason: "finished", seconds: 0 };
  let tokens = 0;
  let seconds = 0;
  for await (const event of events) {
    if (event.type === "step") {
      tokens += event.tokens;
      seconds += event.seconds;
    }
    if (event.type === "eval") summary.firstLoss ??= event.loss;
    if (event.type === "end") Object.assign(summary, { ...event, type: undefined });
  }
  if (seconds > 0) summary.tokensPerSecond = tokens / seconds;
  return { ...summary, seconds: (performance.now() - begun) / 1000 };
}

function describeRun(
  io: Io,
  { stats, heldOutStats, maxLength }: TrainingRows,
  { trainable, total }: Trainables,
  where: string,
): void {
  io.note(`backend     ${where}`);
  io.note(`rows        ${stats.examples} to train on, ${heldOutStats?.examples ?? 0} held out`);
  if (stats.truncated > 0)
    io.note(`            ${stats.truncated} cut to ${maxLength} tokens, ${stats.cutTokens} tokens lost`);
  if (stats.dropped > 0) io.note(`            ${stats.dropped} left out, longer than ${maxLength} tokens`);
  io.note(`trainable   ${trainable} of ${total} numbers (${((100 * trainable) / total).toFixed(2)} %)`);
}
