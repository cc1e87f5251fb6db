import { readScalars, wideScalar } from "@ft/optim";
import { FtError, type Parameter, scope, type Tensor, valueAndGrad, type WideDType } from "@ft/tensor";
import { divide } from "@ft/tensor/ops";
import { accumulate } from "./accumulate.ts";
import type { TrainBatch } from "./options.ts";

/** Loss and gradients of one accumulation window. */
export interface WindowResult {
  /** each micro-batch's share of the loss; together the mean over the window's target tokens */
  readonly losses: readonly number[];
  /** gradients of that mean by parameter name; the caller disposes them */
  readonly grads: ReadonlyMap<string, Tensor>;
}

/**
 * The loss and its gradients over an accumulation window: Σ token losses ÷ Σ target tokens of the whole window,
 * however it is cut into micro-batches. Undefined when aborted between two of them. One host read.
 */
export async function windowGradients<B extends TrainBatch>(
  parameters: ReadonlyMap<string, Parameter>,
  loss: (batch: B) => Tensor<WideDType, readonly []>,
  batches: readonly B[],
  hooks: { readonly before?: (micro: number) => void; readonly aborted?: () => boolean } = {},
): Promise<WindowResult | undefined> {
  const count = batches.reduce((sum, batch) => sum + batch.targetTokens, 0);
  if (!(count > 0))
    throw new FtError(
      "data",
      `rows ${showRows(batches)} have no target token`,
      "a row must keep something to learn: raise the sequence length, or drop these rows",
    );
  const values: Tensor[] = [];
  let grads: ReadonlyMap<string, Tensor> = new Map();
  let done = false;
  try {
    for (const [micro, batch] of batches.entries()) {
      // A turn of the event loop, so that a signal can arrive while the backend keeps this thread busy.
      await new Promise((resolve) => setImmediate(resolve));
      if (hooks.aborted?.()) return undefined;
      hooks.before?.(micro);
      // A micro-batch without targets adds zeros to the loss and to every gradient.
      if (batch.targetTokens === 0) continue;
      const before = grads;
      const next = scope(() => {
        const { value, grads } = valueAndGrad(parameters, () => {
          const sum = loss(batch);
          return divide<WideDType, readonly []>(sum, wideScalar(sum.backend, sum.dtype, count));
        });
        return { value, grads: accumulate(before, grads) };
      });
      values.push(next.value);
      grads = next.grads;
    }
    const losses = await readScalars(values);
    done = true;
    let at = 0;
    return { losses: batches.map((batch) => (batch.targetTokens === 0 ? 0 : (losses[at++] ?? Number.NaN))), grads };
  } finally {
    for (const value of values) value.dispose();
    if (!done) for (const grad of grads.values()) grad.dispose();
  }
}

/** "3, 17, 4" of a window's batches, cut short when there are many. */
export function showRows(batches: readonly TrainBatch[]): string {
  const rows = batches.flatMap((batch) => batch.rows);
  return rows.length > 16 ? `${rows.slice(0, 16).join(", ")} and ${rows.length - 16} more` : rows.join(", ");
}
