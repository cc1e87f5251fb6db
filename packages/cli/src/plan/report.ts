import type { SettledConfig } from "../config/settle.ts";
import type { Io } from "../io.ts";
import type { DescribedModel } from "./described-model.ts";
import { duration } from "./estimate.ts";
import type { Rates } from "./machine.ts";
import type { MemoryPlan } from "./plan-memory.ts";
import type { PlannedRows } from "./planned-batches.ts";
import { size } from "./sizes.ts";
import type { PlanTarget } from "./target.ts";

interface Described {
  readonly config: SettledConfig;
  readonly model: DescribedModel;
  readonly rows: PlannedRows;
  readonly target: PlanTarget;
  readonly plan: MemoryPlan;
  readonly name: string;
}

/** What is planned, in three lines. */
export function describePlan(io: Io, { config, model, rows, target, plan, name }: Described): void {
  const { method, optimizer, quantization, lora, checkpointing, accumulation, compute } = config;
  // as in heldAs: what is frozen is no wider than activations
  const frozen = model.dtype === "f32" ? (config.dtype ?? "f32") : model.dtype;
  const held = quantization ? `${quantization.type}` : method === "full" ? config.weightDtype : frozen;
  io.print(
    `model       ${name}: ${grouped(plan.total)} parameters, held in ${held}, ${grouped(plan.trainable)} of them train`,
  );
  const { batch, seq } = rows.largest;
  const adapter = method === "full" ? "" : ` r ${lora.r}`;
  const known = rows.perEpoch === undefined ? "" : ", the largest of the rows";
  io.print(
    `run         ${method}${adapter}, ${optimizer}, ${batch} x ${seq} tokens x ${accumulation}${known}${checkpointing ? ", checkpointing" : ""}`,
  );
  if (checkpointing === "offload" && target.name === "cuda")
    io.print("            checkpointing: offload is planned as true; what it moves off the card is saved beside this");
  io.print(
    `backend     ${target.words}; ${target.name === "cpu" ? `products in ${compute}, ` : ""}activations in ${config.dtype ?? "f32"}`,
  );
  io.print("");
}

function grouped(n: number): string {
  return n.toLocaleString("en-US");
}

/** A line of the table. */
export function line(name: string, bytes: number, note: string): string {
  return `${name.padEnd(11)} ${size(bytes).padStart(10)}  ${note}`.trimEnd();
}

/** What is kept beside a card, in the host's memory. */
export function hostNote({ optimizerPlacement }: SettledConfig): string {
  const what = optimizerPlacement === "file" ? "what is read of the file at once" : "the optimizer's state";
  return `of this machine's memory beside the card: ${what}`;
}

/** The largest moments of the parts of a run. */
export function momentsOf({ loading, step, saving }: MemoryPlan, runtime: number): string {
  const [a, b, c] = [loading, step, saving].map((bytes) => size(runtime + bytes));
  return `; loading ${a}, a step ${b}, saving ${c}`;
}

/** Work and time, in two lines. */
export function timeLines(plan: MemoryPlan, rates: Rates, seconds: number): string[] {
  const work = `${(plan.flops / 1e9).toFixed(0)} GFLOP at ${(rates.flops / 1e9).toFixed(0)} GFLOP/s, ${size(plan.bytes)} at ${size(rates.bytes)}/s`;
  const run =
    plan.steps === undefined
      ? "give data or maxSteps for the time of the run"
      : `${duration(seconds * plan.steps)} for ${plan.steps} steps, evaluation left out`;
  return [`time        about ${duration(seconds)} a step: ${work}`, `            ${run}`];
}
