import type { CpuBackend } from "@ft/backend-cpu";
import { loadTokenizer } from "@ft/data";
import { readGiven, resolveConfig } from "../config/read-config.ts";
import { type SettledConfig, settle } from "../config/settle.ts";
import type { PartialConfig } from "../config/train-config.ts";
import type { Io } from "../io.ts";
import { changesFor, together } from "../plan/advice.ts";
import { type DescribedModel, describeModel } from "../plan/described-model.ts";
import { duration, largestMoment, rowsOf } from "../plan/estimate.ts";
import { machineMemory, measureRates, parseMemory, type Rates } from "../plan/machine.ts";
import { type MemoryPlan, planMemory } from "../plan/plan-memory.ts";
import { assumedRows, measuredRows, type PlannedRows } from "../plan/planned-batches.ts";
import { bytes } from "../run/download.ts";
import { openBackend, openTemplate } from "../run/open-model.ts";
import { resolveModel } from "../run/resolve-model.ts";
import { prepareRows } from "../train/rows.ts";

/** `ft plan`: what `ft train` would need with the same configuration, without its weights. Trains and writes nothing. */
export async function planCommand(
  file: string | undefined,
  flags: PartialConfig,
  limitGiven: string | undefined,
  io: Io,
  signal: AbortSignal,
): Promise<void> {
  const given = await readGiven(file, flags);
  for (const note of given.notes) io.note(note);
  const asked = resolveConfig({ data: "", out: "", ...given.config }, flags);
  const limit = limitGiven === undefined ? machineMemory() : parseMemory(limitGiven);
  const place = await resolveModel(asked.model, asked.data === "" ? "config" : "tokenizer", io, signal);
  const like = await openBackend(asked.backend, asked);
  const model = await describeModel(place.path);
  const config = settle({ ...asked, model: place.path }, { context: model.config.maxPositions, stored: model.stored });
  const rows = await rowsFor(config, model);

  const plan = await planMemory({ config, model, rows, like });
  // this process has run the same code over buffers that hold nothing: what it takes is what the rest of a run takes
  const runtime = process.memoryUsage().rss;
  const rates = await measureRates(like);
  const seconds = plan.flops / rates.flops + plan.bytes / rates.bytes;
  const moment = largestMoment(plan);
  const peak = runtime + moment.bytes;
  const fits = peak <= limit;
  const advice = fits ? undefined : await adviseFor({ config, model, rows, like, runtime, limit, peak });

  describe(io, { config, model, rows, like, plan, name: place.base });
  const table = rowsOf(plan, runtime, config.optimizerPlacement);
  for (const row of table) io.print(line(row.name, row.bytes, row.note));
  io.print(line("peak", peak, `in ${moment.name}${others(plan, runtime)}`));
  io.print(
    line(
      "memory",
      limit,
      `${limitGiven === undefined ? "of this machine" : "as given"}: ${fits ? "fits" : "does not fit"}`,
    ),
  );
  io.print("");
  for (const text of timeLines(plan, rates, seconds)) io.print(text);
  if (advice) for (const text of adviceLines(advice, peak, limit)) io.print(text);
  io.document({
    model: place.base,
    method: config.method,
    parameters: plan.total,
    trainable: plan.trainable,
    backend: { name: like.name, engine: like.engine, threads: like.threads, compute: config.compute },
    batch: { rows: rows.largest.batch, length: rows.largest.seq, accumulation: config.accumulation },
    memory: Object.fromEntries(table.map((row) => [row.name, row.bytes])),
    optimizerPlacement: config.optimizerPlacement,
    moments: { loading: runtime + plan.loading, step: runtime + plan.step, saving: runtime + plan.saving },
    tensors: plan.tensors,
    peak,
    limit,
    fits,
    time: {
      step: seconds,
      ...(plan.steps !== undefined && { steps: plan.steps, run: seconds * plan.steps }),
      flops: plan.flops,
      bytes: plan.bytes,
      rates,
    },
    ...(advice && { advice }),
  });
}

async function rowsFor(config: SettledConfig, { config: { vocabSize } }: DescribedModel): Promise<PlannedRows> {
  if (config.data === "") return assumedRows(config, vocabSize);
  const tokenizer = await loadTokenizer(config.model);
  const template = await openTemplate(tokenizer, config.chatTemplate);
  return measuredRows((await prepareRows(config, tokenizer, template)).training);
}

interface Described {
  readonly config: SettledConfig;
  readonly model: DescribedModel;
  readonly rows: PlannedRows;
  readonly like: CpuBackend;
  readonly plan: MemoryPlan;
  readonly name: string;
}

function describe(io: Io, { config, model, rows, like, plan, name }: Described): void {
  const { method, optimizer, quantization, lora, checkpointing, accumulation, compute } = config;
  const held = quantization ? `${quantization.type}` : method === "full" ? config.weightDtype : model.dtype;
  io.print(
    `model       ${name}: ${grouped(plan.total)} parameters, held in ${held}, ${grouped(plan.trainable)} of them train`,
  );
  const { batch, seq } = rows.largest;
  const adapter = method === "full" ? "" : ` r ${lora.r}`;
  const known = rows.perEpoch === undefined ? "" : ", the largest of the rows";
  io.print(
    `run         ${method}${adapter}, ${optimizer}, ${batch} x ${seq} tokens x ${accumulation}${known}${checkpointing ? ", checkpointing" : ""}`,
  );
  io.print(
    `backend     ${like.name} (${like.engine}, ${like.threads} threads), products in ${compute}; it is the only one here`,
  );
  io.print("");
}

function grouped(n: number): string {
  return n.toLocaleString("en-US");
}

function line(name: string, size: number, note: string): string {
  return `${name.padEnd(11)} ${bytes(size).padStart(10)}  ${note}`.trimEnd();
}

function others({ loading, step, saving }: MemoryPlan, runtime: number): string {
  const [a, b, c] = [loading, step, saving].map((size) => bytes(runtime + size));
  return `; loading ${a}, a step ${b}, saving ${c}`;
}

function timeLines(plan: MemoryPlan, rates: Rates, seconds: number): string[] {
  const work = `${(plan.flops / 1e9).toFixed(0)} GFLOP at ${(rates.flops / 1e9).toFixed(0)} GFLOP/s, ${bytes(plan.bytes)} at ${bytes(rates.bytes)}/s`;
  const run =
    plan.steps === undefined
      ? "give data or maxSteps for the time of the run"
      : `${duration(seconds * plan.steps)} for ${plan.steps} steps, evaluation left out`;
  return [`time        about ${duration(seconds)} a step: ${work}`, `            ${run}`];
}

/** What helps, and by how much. */
export interface Advice {
  readonly set: string;
  readonly cost: string;
  readonly peak: number;
  readonly saves: number;
  readonly fits: boolean;
}

interface Question {
  readonly config: SettledConfig;
  readonly model: DescribedModel;
  readonly rows: PlannedRows;
  readonly like: CpuBackend;
  readonly runtime: number;
  readonly limit: number;
  readonly peak: number;
}

/** Plans again with each change, and then with the best of them together until the run fits. */
async function adviseFor({ config, model, rows, like, runtime, limit, peak }: Question): Promise<Advice[]> {
  const peakOf = async (changed: SettledConfig): Promise<number> => {
    const same = changed.maxLength === config.maxLength && changed.batchSize === config.batchSize;
    const planned = same
      ? rows
      : config.data === ""
        ? assumedRows(changed, model.config.vocabSize)
        : await rowsFor(changed, model);
    return runtime + largestMoment(await planMemory({ config: changed, model, rows: planned, like })).bytes;
  };
  const tried: (Advice & { readonly config: SettledConfig })[] = [];
  for (const { set, cost, config: changed } of changesFor(config, model.stored !== undefined)) {
    const now = await peakOf(changed);
    if (now < peak) tried.push({ set, cost, peak: now, saves: peak - now, fits: now <= limit, config: changed });
  }
  const shown = tried.map(({ config: _, ...advice }) => advice);
  if (shown.some((advice) => advice.fits)) return shown;
  // none is enough alone
  let sofar: { set: string; config: SettledConfig; peak: number } | undefined;
  for (const next of [...tried].sort((a, b) => b.saves - a.saves)) {
    if (sofar === undefined) {
      sofar = next;
      continue;
    }
    const both = together(config, sofar.config, next.config);
    const now = await peakOf(both);
    if (now >= sofar.peak) continue;
    sofar = { set: `${sofar.set}; ${next.set}`, config: both, peak: now };
    if (now <= limit) break;
  }
  if (sofar === undefined || sofar.set === tried[0]?.set) return shown;
  return [
    ...shown,
    { set: sofar.set, cost: "all of these", peak: sofar.peak, saves: peak - sofar.peak, fits: sofar.peak <= limit },
  ];
}

function adviceLines(advice: readonly Advice[], peak: number, limit: number): string[] {
  if (advice.length === 0)
    return ["", `nothing that ft knows makes this run smaller than ${bytes(peak)}: take a smaller model`];
  const lines = advice.map(({ set, cost, peak: now, saves, fits }) => {
    const result = `${bytes(now)}${fits ? ", fits" : ""}`;
    return `  ${set}\n      saves ${bytes(saves)} -> ${result}; ${cost}`;
  });
  return ["", `${bytes(peak - limit)} too much. What would help, each planned again:`, ...lines];
}
