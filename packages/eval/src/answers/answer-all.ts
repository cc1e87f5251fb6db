import { type CausalLm, type GenerateOptions, generateBatch } from "@ft/models";
import { FtError } from "@ft/tensor";

/** How a test set is answered; the rest is as for one prompt. Greedy without a temperature. */
export interface AnswerAllOptions extends GenerateOptions {
  /** prompts at a time; 8 */
  readonly batchSize?: number;
  /** the first `done` prompts have answers already and are left out; what follows comes out as it would have without that */
  readonly done?: number;
}

/** The answer to one prompt. */
export interface Answered {
  /** of the prompt, from 0 */
  readonly index: number;
  /** token ids, without the stop */
  readonly ids: readonly number[];
}

/** batches whose prompts are sorted together: enough for little padding, few enough to lose little where a run is stopped */
const windowBatches = 4;

/**
 * Answers every prompt, in their order. Prompts of like length share a batch, within a window of a few batches; windows and
 * batches depend on the prompts and `batchSize` alone, so a run that goes on from `done` answers as one that was never
 * stopped. Greedy answers are those that each prompt has alone, but for scores that tie within the rounding of a sum.
 *
 * Errors: "config" for sizes out of range; "input" where a prompt is empty, fills the context or has strange ids.
 */
export async function* answerAll(
  model: CausalLm,
  prompts: readonly (readonly number[])[],
  { batchSize = 8, done = 0, seed = 0, ...options }: AnswerAllOptions = {},
): AsyncGenerator<Answered, void, void> {
  if (!Number.isSafeInteger(batchSize) || batchSize < 1)
    throw new FtError("config", `[answerAll] batchSize is ${batchSize}`, "use a whole number of at least 1");
  if (!Number.isSafeInteger(done) || done < 0 || done > prompts.length)
    throw new FtError(
      "config",
      `[answerAll] done is ${done}, of ${prompts.length} prompts`,
      "use the number of answers that are there already",
    );
  const width = windowBatches * batchSize;
  for (let from = Math.floor(done / width) * width; from < prompts.length; from += width) {
    const answers = new Map<number, readonly number[]>();
    let next = Math.max(from, done);
    for (const { first, indices } of windowOf(prompts, from, Math.min(from + width, prompts.length), batchSize)) {
      if (indices.every((index) => index < done)) continue;
      options.signal?.throwIfAborted();
      const batch = indices.map((index) => prompts[index] ?? []);
      // rows of a batch draw from (seed, row): batches need seeds of their own
      const made = await generateBatch(model, batch, { ...options, seed: seed + first });
      for (const [i, index] of indices.entries()) answers.set(index, made[i] ?? []);
      for (let ids = answers.get(next); ids !== undefined; ids = answers.get(++next)) yield { index: next, ids };
    }
  }
}

/** The batches of a window; `first` is a number that is each one's own. */
function windowOf(
  prompts: readonly (readonly number[])[],
  from: number,
  to: number,
  batchSize: number,
): { readonly first: number; readonly indices: readonly number[] }[] {
  const lengthOf = (index: number): number => prompts[index]?.length ?? 0;
  const sorted = Array.from({ length: to - from }, (_, i) => from + i).sort(
    (a, b) => lengthOf(a) - lengthOf(b) || a - b,
  );
  return Array.from({ length: Math.ceil(sorted.length / batchSize) }, (_, i) => ({
    first: from + i * batchSize,
    indices: sorted.slice(i * batchSize, (i + 1) * batchSize),
  }));
}
