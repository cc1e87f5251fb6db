import type { Truncation } from "@ft/data";
import { FtError } from "@ft/tensor";
import { evaluateModel } from "../eval/evaluate-model.ts";
import { evaluateText } from "../eval/evaluate-text.ts";
import type { Evaluation } from "../eval/evaluation.ts";
import { type ChosenMetrics, chooseMetrics } from "../eval/metrics.ts";
import { evaluationText } from "../eval/table.ts";
import type { Io } from "../io.ts";
import { type BackendName, closing, openBackend } from "../run/open-backend.ts";

export interface EvalFlags {
  readonly model?: string;
  readonly adapter?: readonly string[];
  readonly data?: string;
  readonly predictions?: readonly string[];
  readonly references?: readonly string[];
  readonly metrics?: readonly string[];
  readonly general?: string;
  readonly out?: string;
  readonly limit?: number;
  readonly maxLength?: number;
  readonly truncation: Truncation;
  readonly batchSize: number;
  readonly maxNewTokens: number;
  readonly chatTemplate?: string;
  readonly backend: BackendName;
  readonly dtype?: "f32" | "bf16" | "f16";
  readonly threads?: number;
}

const usualMetrics = ["bleu", "rouge", "chrf", "exact-match", "f1"];

/** `ft eval`: a model and adapters over it, or files of predictions, measured and compared. */
export async function evalCommand(flags: EvalFlags, io: Io, signal: AbortSignal): Promise<void> {
  const evaluation = flags.predictions === undefined ? await ofModel(flags, io, signal) : await ofText(flags);
  io.print(evaluationText(evaluation));
  if (flags.out !== undefined) io.print(`\nsaved       ${flags.out}`);
  io.document(evaluation);
}

async function ofModel(flags: EvalFlags, io: Io, signal: AbortSignal): Promise<Evaluation> {
  const { model, data, adapter: adapters = [], metrics = ["perplexity", ...usualMetrics] } = flags;
  if (flags.references !== undefined)
    throw new FtError(
      "config",
      "--references without --predictions",
      "with a model, the rows of --data are the references",
    );
  if (model === undefined || data === undefined)
    throw new FtError(
      "config",
      `--${model === undefined ? "model" : "data"} is needed`,
      "give --model and --data, or --predictions and --references",
    );
  const chosen = chooseMetrics(metrics);
  using place = closing(await openBackend(flags.backend, { ...flags, note: io.note }));
  const { backend } = place;
  return await evaluateModel({ ...flags, model, data, adapters, metrics: chosen, backend }, io, signal);
}

async function ofText({
  predictions = [],
  references = [],
  metrics = usualMetrics,
  ...flags
}: EvalFlags): Promise<Evaluation> {
  for (const name of ["model", "adapter", "data", "general"] as const)
    if (flags[name] !== undefined)
      throw new FtError("config", `--${name} beside --predictions`, "files of predictions are scored without a model");
  const chosen: ChosenMetrics = chooseMetrics(metrics);
  if (chosen.perplexity)
    throw new FtError(
      "config",
      "--metrics perplexity needs a model",
      "give --model and --data in place of --predictions",
    );
  if (references.length === 0)
    throw new FtError("input", "there are no references", "give --references FILE, one line for each of --predictions");
  return evaluateText(predictions, references, chosen, flags.out);
}
