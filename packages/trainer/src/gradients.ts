import { readScalars } from "@ft/optim";
import {
  type Backend,
  FtError,
  type Parameter,
  type Replay,
  run,
  scalar,
  scope,
  type Tensor,
  valueAndGrad,
  type WideDType,
} from "@ft/tensor";
import { castOp, divideOp } from "@ft/tensor/ops";
import { accumulate } from "./accumulate.ts";
import type { Inputs, LossOf, TrainBatch } from "./options.ts";

/** Loss and gradients of one accumulation window. */
export interface WindowResult {
  /** each micro-batch's share of the loss; together the mean over the window's target tokens */
  readonly losses: readonly number[];
  /** gradients of that mean by parameter name, times the scale where there is one; the caller disposes them */
  readonly grads: ReadonlyMap<string, Tensor>;
}

/** What windowGradients does beside the gradients. */
export interface WindowHooks {
  readonly before?: (micro: number) => void;
  readonly aborted?: () => boolean;
  /** what was recorded of earlier windows; absent: nothing is recorded */
  readonly recording?: Replay;
  /** a factor on the loss that is differentiated, so that small gradients do not vanish in f16; 1 */
  readonly scale?: number;
}

type Divisor = Tensor<"f32" | "f64", readonly []>;

/**
 * The loss and its gradients over an accumulation window: Σ token losses ÷ Σ target tokens of the whole window,
 * however it is cut into micro-batches. Undefined when aborted between two of them. One host read.
 */
export async function windowGradients<B extends TrainBatch, I extends Inputs<I> = {}>(
  parameters: ReadonlyMap<string, Parameter>,
  of: LossOf<B, I> | LossOf<B, I>["loss"],
  batches: readonly B[],
  { before, aborted, recording, scale = 1 }: WindowHooks = {},
): Promise<WindowResult | undefined> {
  const { loss, upload } = typeof of === "function" ? { loss: of } : of;
  const count = batches.reduce((sum, batch) => sum + batch.targetTokens, 0);
  if (!(count > 0))
    throw new FtError(
      "data",
      `rows ${showRows(batches)} have no target token`,
      "a row must keep something to learn: raise the sequence length, or drop these rows",
    );
  const last = batches.findLastIndex(({ targetTokens }) => targetTokens > 0);
  const values: Tensor[] = [];
  let grads: ReadonlyMap<string, Tensor> = new Map();
  let done = false;
  try {
    for (const [micro, batch] of batches.entries()) {
      // A turn of the event loop, so that a signal can arrive while the backend keeps this thread busy.
      await new Promise((resolve) => setImmediate(resolve));
      if (aborted?.()) return undefined;
      before?.(micro);
      // A micro-batch without targets adds zeros to the loss and to every gradient.
      if (batch.targetTokens === 0) continue;
      const sofar = grads;
      const next = scope(() => {
        // Dividing by count/scale is dividing by the count and multiplying by the scale, exactly so for powers of two.
        const divisor = divisorOf(parameters, count / scale);
        const inputs = upload?.(batch);
        const differentiate = (): Map<string, Tensor> => {
          const { value, grads } = valueAndGrad(parameters, () => dividedBy(loss(batch, (inputs ?? {}) as I), divisor));
          return new Map([[lossName, value], ...grads]);
        };
        const { results, replaced } =
          inputs && recording
            ? recording.over(parameters.values()).run([...Object.values<Tensor>(inputs), divisor], differentiate)
            : { results: differentiate(), replaced: false };
        // what a later run would overwrite is copied, but for gradients that go into a sum now
        const copies = replaced && micro < last;
        const fresh = new Map<string, Tensor>();
        for (const [name, x] of results) fresh.set(name, copies && !sofar.has(name) ? copyOf(x) : x);
        const value = fresh.get(lossName);
        fresh.delete(lossName);
        return { value, grads: accumulate(sofar, fresh) };
      });
      if (next.value) values.push(next.value);
      grads = next.grads;
    }
    const losses = await readScalars(values);
    done = true;
    let at = 0;
    const share = (): number => (losses[at++] ?? Number.NaN) / scale;
    return { losses: batches.map((batch) => (batch.targetTokens === 0 ? 0 : share())), grads };
  } finally {
    for (const value of values) value.dispose();
    if (!done) for (const grad of grads.values()) grad.dispose();
  }
}

/** among the results of a micro-batch; no parameter has such a name */
const lossName = "";

/** As wide as the widest parameter. A tensor, so that a recorded micro-batch serves windows of any count. */
function divisorOf(parameters: ReadonlyMap<string, Parameter>, value: number): Divisor {
  let backend: Backend | undefined;
  for (const param of parameters.values()) {
    backend ??= param.backend;
    if (param.dtype === "f64") return scalar(backend, "f64", value);
  }
  if (backend === undefined)
    throw new FtError("config", "there are no parameters to train", "pass the trainable parameters of the model");
  return scalar(backend, "f32", value);
}

function dividedBy(sum: Tensor<WideDType, readonly []>, divisor: Divisor): Tensor<WideDType, readonly []> {
  const by = divisor.dtype === sum.dtype ? divisor : copyOf(divisor, sum.dtype);
  return run(divideOp, { in: { x: sum, by }, attrs: {}, axes: { y: [] } }).y;
}

function copyOf(x: Tensor, dtype: Tensor["dtype"] = x.dtype): Tensor {
  if (dtype !== "f64" && dtype !== "f32" && dtype !== "bf16" && dtype !== "f16")
    throw new FtError("dtype", `[train] a gradient in ${dtype}`, "train floats");
  return run(castOp, { in: { x }, attrs: { dtype }, axes: { y: x.axes } }).y;
}

/** "3, 17, 4" of a window's batches, cut short when there are many. */
export function showRows(batches: readonly TrainBatch[]): string {
  const rows = batches.flatMap((batch) => batch.rows);
  return rows.length > 16 ? `${rows.slice(0, 16).join(", ")} and ${rows.length - 16} more` : rows.join(", ");
}
