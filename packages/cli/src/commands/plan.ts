import { readGiven, resolveConfig } from "../config/read-config.ts";
import { forCard, settle } from "../config/settle.ts";
import type { PartialConfig } from "../config/train-config.ts";
import type { Io } from "../io.ts";
import { adviceLines, adviseFor } from "../plan/advise.ts";
import { describeModel } from "../plan/described-model.ts";
import { largestMoment, rowsOf, secondsOf } from "../plan/estimate.ts";
import { parseMemory } from "../plan/machine.ts";
import { planMemory } from "../plan/plan-memory.ts";
import { rowsFor } from "../plan/planned-batches.ts";
import { describePlan, hostNote, line, momentsOf, timeLines } from "../plan/report.ts";
import { planTarget } from "../plan/target.ts";
import { wayLines, waysOf } from "../plan/ways.ts";
import { slowOnCpu } from "../run/open-backend.ts";
import { resolveModel } from "../run/resolve-model.ts";

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
  const limitAsked = limitGiven === undefined ? undefined : parseMemory(limitGiven);
  const place = await resolveModel(asked.model, asked.data === "" ? "config" : "tokenizer", io, signal);
  const target = await planTarget(asked);
  const { like } = target;
  const slow = target.name === "cpu" ? slowOnCpu(asked.dtype) : undefined;
  if (slow !== undefined) io.note(slow);
  const limit = limitAsked ?? target.memory;
  const model = await describeModel(place.path);
  const there = { ...asked, model: place.path };
  const config = settle(target.name === "cuda" ? forCard(there) : there, {
    context: model.config.maxPositions,
    stored: model.stored,
  });
  const rows = await rowsFor(config, model);

  const plan = await planMemory({ config, model, rows, like });
  const runtime = target.runtime();
  const rates = await target.rates?.();
  const seconds = rates && secondsOf(plan, rates);
  const moment = largestMoment(plan);
  const peak = runtime + moment.bytes;
  const fits = peak <= limit;
  const ways = await waysOf({ config, model, rows, plan, rates, runtime });
  const advice = fits ? undefined : await adviseFor({ config, model, rows, like, runtime, limit, peak });

  describePlan(io, { config, model, rows, target, plan, name: place.base });
  const table = rowsOf(plan, runtime, config.optimizerPlacement, target);
  for (const row of table) io.print(line(row.name, row.bytes, row.note));
  io.print(line("peak", peak, `in ${moment.name}${momentsOf(plan, runtime)}`));
  io.print(
    line(
      "memory",
      limit,
      `${limitGiven === undefined ? target.memoryNote : "as given"}: ${fits ? "fits" : "does not fit"}`,
    ),
  );
  if (target.name === "cuda" && plan.host > 0) io.print(line("host", plan.host, hostNote(config)));
  io.print("");
  for (const text of wayLines(ways, config)) io.print(text);
  if (rates && seconds !== undefined) {
    io.print("");
    for (const text of timeLines(plan, rates, seconds)) io.print(text);
  }
  if (advice) for (const text of adviceLines(advice, peak, limit)) io.print(text);
  io.document({
    model: place.base,
    method: config.method,
    parameters: plan.total,
    trainable: plan.trainable,
    backend: { name: target.name, ...target.facts },
    batch: { rows: rows.largest.batch, length: rows.largest.seq, accumulation: config.accumulation },
    memory: Object.fromEntries(table.map((row) => [row.name, row.bytes])),
    optimizerPlacement: config.optimizerPlacement,
    host: plan.host,
    moments: { loading: runtime + plan.loading, step: runtime + plan.step, saving: runtime + plan.saving },
    tensors: plan.tensors,
    peak,
    limit,
    fits,
    ways,
    ...(seconds !== undefined && {
      time: {
        step: seconds,
        ...(plan.steps !== undefined && { steps: plan.steps, run: seconds * plan.steps }),
        flops: plan.flops,
        bytes: plan.bytes,
        rates,
      },
    }),
    ...(advice && { advice }),
  });
}
