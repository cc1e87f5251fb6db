import { createPlanBackend, type PlanBackend, type Plannable } from "@ft/backend-plan";
import { loadModelFrom } from "@ft/models";
import { bytesOf, FtError, memory, type Parameter, readPieces } from "@ft/tensor";
import { cast } from "@ft/tensor/ops";
import { countSteps, train } from "@ft/trainer";
import type { SettledConfig } from "../config/settle.ts";
import { heldAs } from "../train/base.ts";
import { optimizerOf } from "../train/optimizer.ts";
import { trainingOptions } from "../train/run.ts";
import { trainablesOf } from "../train/trainables.ts";
import type { DescribedModel } from "./described-model.ts";
import { type PlannedRows, repeated } from "./planned-batches.ts";
import { plannedFormat } from "./planned-format.ts";
import { plannedPlace } from "./planned-place.ts";

/** What a run would hold, in bytes, and do. */
export interface MemoryPlan {
  /** the model as it is held, adapters left out */
  readonly weights: number;
  readonly adapters: number;
  readonly gradients: number;
  /** the optimizer's state, wherever it is kept */
  readonly optimizer: number;
  /** what the largest moment holds of tensors beside all these */
  readonly activations: number;
  /** freed buffers that the backend keeps for reuse at that moment */
  readonly reuse: number;
  /** what kernels work in */
  readonly workspace: number;
  /** what the run keeps in host memory for its optimizer; part of the moments only where the backend computes there */
  readonly host: number;
  /** the largest moment of loading, of a step and of saving, everything counted but the runtime */
  readonly loading: number;
  readonly step: number;
  readonly saving: number;
  /** the most that live tensors take at once, loading included */
  readonly tensors: number;
  /** numbers that train, and all */
  readonly trainable: number;
  readonly total: number;
  /** work of an optimizer step, with micro-batches of average size */
  readonly flops: number;
  readonly bytes: number;
  /** optimizer steps of the run; undefined where neither maxSteps nor the rows say */
  readonly steps: number | undefined;
}

/** What a plan is made of. */
export interface PlanInput {
  readonly config: SettledConfig;
  readonly model: DescribedModel;
  readonly rows: PlannedRows;
  /** the backend that the run would use */
  readonly like: Plannable<unknown>;
}

/** Plans by loading the model and taking two optimizer steps on a backend that holds nothing: the code of a run, unchanged. */
export async function planMemory({ config, model: described, rows, like }: PlanInput): Promise<MemoryPlan> {
  const backend = createPlanBackend({ like });
  const live = memory(backend);
  const { stored } = described;
  const quantization = stored ?? (config.method === "qlora" ? config.quantization : undefined);
  const format = quantization && plannedFormat(quantization, stored === undefined);
  using model = await loadModelFrom(
    described.source,
    { config: described.config, quantized: false },
    { ...heldAs(config, stored !== undefined), backend, ...(format && { format }) },
  );
  const [weights, loading, loadingTensors] = [live.bytes, backend.memory.peak, live.peak];
  backend.reset();
  const trainables = trainablesOf(config, model, config.model);
  const adapters = live.bytes - weights;
  const place = config.optimizerPlacement === "device" ? undefined : plannedPlace();
  const accumulation = Math.min(2, config.accumulation);
  const options = trainingOptions({
    config: { ...config, accumulation, resume: false },
    record: { config, versions: { ft: "", node: "" }, hashes: {}, template: "" },
    model,
    rows: { training: repeated(rows), heldOut: undefined },
    trainables,
    optimizer: optimizerOf(config),
    checkpoints: "",
    signal: new AbortController().signal,
  });
  const { checkpoint: _, earlyStopping: __, epochs: ___, beforeMicroBatch, ...rest } = options;
  const counted = counter(backend);
  const events = train({
    ...rest,
    maxSteps: 2,
    ...(place && { optimizerPlacement: place }),
    beforeMicroBatch(at) {
      counted.begin();
      beforeMicroBatch?.(at);
    },
  });
  let held = 0;
  let step = { peak: 0, tensors: 0, atPeak: backend.memory.atPeak };
  let saving = 0;
  for await (const event of events) {
    if (event.type === "start") held = live.bytes;
    if (event.type !== "step" || event.step !== 2) continue;
    counted.end();
    step = { peak: backend.memory.peak, tensors: live.peak, atPeak: backend.memory.atPeak };
    // a checkpoint beside the optimizer's state
    backend.reset();
    for await (const _ of readPieces(largest(trainables.parameters)));
    saving = backend.memory.peak;
  }
  backend.reset();
  if (config.method === "full") await copyForSaving(largest(trainables.parameters), config);
  saving = Math.max(saving, backend.memory.peak);

  const gradients = sum(trainables.parameters.values(), bytesOf);
  const inPlace = held - weights - adapters;
  const { idle: reuse, workspace } = step.atPeak;
  const moving = Math.max(0, step.peak - reuse - workspace - held);
  const host = place ? (config.optimizerPlacement === "host" ? place.bytes : place.staging) : 0;
  const beside = like.name === "cuda" ? 0 : host;
  return {
    weights,
    adapters,
    gradients: Math.min(gradients, moving),
    optimizer: inPlace + (place?.bytes ?? 0),
    activations: Math.max(0, moving - gradients),
    reuse,
    workspace,
    host,
    loading,
    step: step.peak + beside,
    saving: saving + beside,
    tensors: Math.max(loadingTensors, step.tensors),
    trainable: trainables.trainable,
    total: trainables.total,
    ...counted.perStep(config.accumulation, rows.share),
    steps: stepsOf(config, rows),
  };
}

function stepsOf({ maxSteps, epochs, accumulation }: SettledConfig, { perEpoch }: PlannedRows): number | undefined {
  if (perEpoch === undefined) return maxSteps;
  return countSteps({
    perEpoch,
    accumulation,
    ...(maxSteps !== undefined && { maxSteps }),
    ...(epochs !== undefined && { epochs }),
  });
}

/** Saving a whole model reads one weight at a time, widened where it is held in another dtype than it is saved in. */
async function copyForSaving(weight: Parameter, { saveDtype }: SettledConfig): Promise<void> {
  if (weight.dtype === saveDtype) {
    await weight.read();
    return;
  }
  using wide = cast(weight, "f32");
  await wide.read();
}

function largest(parameters: ReadonlyMap<string, Parameter>): Parameter {
  const [found] = [...parameters.values()].sort((a, b) => bytesOf(b) - bytesOf(a));
  if (found) return found;
  throw new FtError("config", "there is nothing to train", "check lora.targetModules");
}

function sum<T>(values: Iterable<T>, of: (value: T) => number): number {
  let total = 0;
  for (const value of values) total += of(value);
  return total;
}

interface Work {
  readonly flops: number;
  readonly bytes: number;
}

/** Takes the work of the first step apart: its first micro-batch, and what is not micro-batches. */
function counter({ work }: Pick<PlanBackend, "work">): {
  begin(): void;
  end(): void;
  perStep(accumulation: number, share: number): Work;
} {
  const starts: Work[] = [];
  let whole: Work = { flops: 0, bytes: 0 };
  const now = (): Work => ({ flops: work.flops, bytes: work.bytes });
  return {
    begin() {
      starts.push(now());
    },
    end() {
      whole = now();
    },
    perStep(accumulation, share) {
      // two equal steps, of one or two micro-batches
      const [first = whole, second = whole] = starts;
      const of = (key: keyof Work): number => {
        const [step, begun] = [(whole[key] - first[key]) / 2, second[key] - first[key]];
        if (accumulation === 1) return step * share;
        return begun * accumulation * share + Math.max(0, step - 2 * begun);
      };
      return { flops: of("flops"), bytes: of("bytes") };
    },
  };
}
