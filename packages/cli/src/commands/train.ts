import { mkdir } from "node:fs/promises";
import { checkVocabulary, loadTokenizer } from "@ft/data";
import { FtError } from "@ft/tensor";
import {
  checkpointPath,
  loadParameters,
  metricsLog,
  type PeakMemory,
  progressLog,
  runDirectory,
  type TrainEvent,
  tensorBoardLog,
  watched,
} from "@ft/trainer";
import { readGiven, resolveConfig } from "../config/read-config.ts";
import { forCard, type SettledConfig, settle } from "../config/settle.ts";
import type { PartialConfig, Quantization } from "../config/train-config.ts";
import type { Io } from "../io.ts";
import { describePlanned, planOfRun } from "../plan/planned-run.ts";
import { reportLog } from "../report/report-log.ts";
import { closing, describeBackend, openBackend, peakOf } from "../run/open-backend.ts";
import { openTemplate } from "../run/open-model.ts";
import { resolveModel } from "../run/resolve-model.ts";
import { keepTemplate } from "../run/trained-template.ts";
import { loadBase } from "../train/base.ts";
import { factsOf } from "../train/facts.ts";
import { optimizerOf } from "../train/optimizer.ts";
import { recordOf } from "../train/record.ts";
import { prepareRows, type TrainingRows } from "../train/rows.ts";
import { runTraining } from "../train/run.ts";
import { withPeak, withSaved } from "../train/saved.ts";
import { type Trainables, trainablesOf } from "../train/trainables.ts";

/** `ft train`: rows and a model in, an adapter or a model out. Nothing is written before everything has been checked. */
export async function trainCommand(
  file: string | undefined,
  flags: PartialConfig,
  io: Io,
  signal: AbortSignal,
): Promise<void> {
  const { config: fromFiles, notes } = await readGiven(file, flags);
  const asked = resolveConfig(fromFiles, flags);
  const optimizer = optimizerOf(asked);
  for (const note of notes) io.note(note);
  const place = await resolveModel(asked.model, "model", io, signal);
  using opened = closing(await openBackend(asked.backend, { ...asked, note: io.note }));
  const { backend } = opened;
  const there = { ...asked, model: place.path };
  const given = "card" in backend ? forCard(there) : there;
  const tokenizer = await loadTokenizer(given.model);
  const template = await openTemplate(tokenizer, given.chatTemplate);
  if (given.chatTemplate === undefined && tokenizer.chatTemplate === undefined)
    io.note(
      `template    ${given.model} has none: rows are written with "### Instruction:" and "### Response:", and so must prompts be`,
    );
  const { model: loaded, stored } = await loadBase(given, backend);
  using model = loaded;
  checkVocabulary(tokenizer, model.config.vocabSize, given.model);
  const config = settle(given, { context: model.config.maxPositions, stored });
  const rows = await prepareRows(config, tokenizer, template);
  if (!rows.ends)
    io.note(
      "template    its answers do not end with a token that ends the model's: what is generated may run on past them",
    );
  if (config.patience !== undefined && rows.heldOut === undefined)
    throw new FtError("config", "patience needs held-out rows", "set validation or validationFraction");
  const trainables = trainablesOf(config, model, place.base);
  const record = await recordOf(config, place.exact, template.source);
  const { resume, optimizerFolder } = config;
  if (optimizerFolder !== undefined) await makeFolder(optimizerFolder);
  const planned = await planOfRun({ config, rows, backend });
  const products = config.compute === "f32" || "card" in backend ? "" : `, products in ${config.compute}`;
  const activations = config.dtype === undefined || config.dtype === "f32" ? "" : `, activations in ${config.dtype}`;
  const where = `${describeBackend(backend)}${products}${activations}`;
  const facts = factsOf(rows, trainables, where, planned);
  await using directory = await runDirectory(config.out, { resume, record: { ...record, ...facts } });
  describeRun(io, config, rows, trainables, where);

  const { checkpoints } = directory;
  const run = runTraining({ config, record, model, rows, trainables, optimizer, checkpoints, signal });
  const events = withPeak(run, () => peakOf(backend));
  const page = reportLog(config.out, io.note);
  const logs = [metricsLog(config.out), tensorBoardLog(config.out), progressLog({ stream: io.progress }), page];
  const summary = await follow(watched(events, logs), () => directory.record(), planned);
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
  await keepTemplate(saved, template, tokenizer);
  io.note(`saved       ${saved}${bestStep === undefined ? "" : `, the weights of step ${bestStep}`}`);
  const { trainable, total } = trainables;
  const memory = { planned, measured: peakOf(backend) };
  io.note(describePlanned(memory));
  io.document({ out: config.out, saved, method: config.method, trainable, total, ...rows.stats, ...summary, memory });
}

async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new FtError("io", `optimizerFolder ${folder} cannot be made`, "name a folder that can be written", { cause });
  });
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
async function follow(
  events: AsyncGenerator<TrainEvent, void, undefined>,
  started: () => Promise<void>,
  planned: PeakMemory | undefined,
): Promise<Summary> {
  const begun = performance.now();
  const summary: Summary = { step: 0, reason: "finished", seconds: 0 };
  let tokens = 0;
  let seconds = 0;
  for await (const event of withSaved(events, planned)) {
    if (event.type === "start") await started();
    if (event.type === "step") {
      tokens += event.tokens;
      seconds += event.seconds;
    }
    if (event.type === "eval") summary.firstLoss ??= event.loss;
    if (event.type === "end") {
      const { type: _, ...end } = event;
      Object.assign(summary, end);
    }
  }
  if (seconds > 0) summary.tokensPerSecond = tokens / seconds;
  return { ...summary, seconds: (performance.now() - begun) / 1000 };
}

function describeRun(
  io: Io,
  config: SettledConfig,
  { stats, heldOutStats, maxLength }: TrainingRows,
  { trainable, total }: Trainables,
  where: string,
): void {
  io.note(`backend     ${where}`);
  io.note(`rows        ${stats.examples} to train on, ${heldOutStats?.examples ?? 0} held out`);
  if (stats.truncated > 0)
    io.note(`            ${stats.truncated} cut to ${maxLength} tokens, ${stats.cutTokens} tokens lost`);
  if (stats.dropped > 0) io.note(`            ${stats.dropped} left out, longer than ${maxLength} tokens`);
  const share = ((100 * trainable) / total).toFixed(2);
  io.note(`trainable   ${grouped(trainable)} of ${grouped(total)} parameters (${share} %)`);
  if (config.quantization) io.note(`base        ${describeQuantization(config.quantization)}`);
  const { learningRate, schedule, accumulation, batchSize, batchTokens, epochs, maxSteps, lora } = config;
  const batch = batchTokens === undefined ? `${batchSize} rows` : `${batchTokens} positions`;
  const length = [epochs && `${epochs} epochs`, maxSteps && `at most ${maxSteps} steps`].filter(Boolean).join(", ");
  const adapter = config.method !== "full" ? `, r ${lora.r}, alpha ${lora.alpha}` : "";
  io.note(
    `recipe      ${config.method}${adapter}, ${config.optimizer}, ${schedule} from ${learningRate}, ${batch} x ${accumulation}, ${length}`,
  );
}

function describeQuantization({ type, blockSize, doubleQuant, computeDtype }: Quantization): string {
  const blocks = blockSize === undefined ? "a scale a row" : `blocks of ${blockSize}`;
  return `${type}, ${blocks}${doubleQuant ? ", double quantisation" : ""}, products in ${computeDtype}`;
}

/** 1234567 as 1,234,567. */
function grouped(n: number): string {
  return n.toLocaleString("en-US");
}
