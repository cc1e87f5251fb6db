import { FtError, philoxPermutation } from "@ft/tensor";
import type { Example } from "../encode/example.ts";
import { assembleBatch, type Batch, paddedLength } from "./batch.ts";
import { batchStream, epochOrder } from "./order.ts";
import { packBestFit } from "./pack.ts";

/** How examples become micro-batches. Give `batchSize` (rows) or `batchTokens` (rows × padded length), not both. */
export interface BatchesOptions {
  readonly examples: readonly Example[];
  readonly seed: number;
  /** Rows of a micro-batch. */
  readonly batchSize?: number;
  /** Largest number of positions of a micro-batch, padding included; rows of like length then go together. */
  readonly batchTokens?: number;
  /** Largest row; with packing, what rows are filled up to. */
  readonly maxLength: number;
  /** Put several examples into one row, as segments that do not see each other. */
  readonly packing?: boolean;
  /** False keeps the order of the examples, for evaluation. Default true. */
  readonly shuffle?: boolean;
}

/** Micro-batches by number: any of them at once, without going through those before it. */
export interface Batches {
  /** Micro-batches of an epoch, the same number in every epoch. */
  readonly perEpoch: number;
  /** Micro-batch `step` (from 0), counted through all epochs. */
  batchAt(step: number): Batch;
  /** The examples of a micro-batch, by row, without building it. */
  layoutAt(step: number): readonly (readonly number[])[];
}

/**
 * Plans micro-batches. A plan depends on (examples, seed, epoch) alone, so a resumed run continues with `batchAt(step)`.
 * @throws FtError "config" for sizes that contradict each other or are too small for the longest example
 */
export function batches(options: BatchesOptions): Batches {
  const { examples } = options;
  check(options);
  const plan = options.packing ? packedPlan : options.batchTokens === undefined ? sizedPlan : lengthPlan;
  let held: { epoch: number; plan: number[][][] } = { epoch: 0, plan: plan(options, orderOf(options, 0), 0) };
  const perEpoch = held.plan.length;
  const layoutAt = (step: number): readonly (readonly number[])[] => {
    if (!Number.isInteger(step) || step < 0)
      throw new FtError("input", `there is no micro-batch ${step}`, "count from 0");
    const epoch = Math.floor(step / perEpoch);
    if (held.epoch !== epoch) held = { epoch, plan: plan(options, orderOf(options, epoch), epoch) };
    return held.plan[step % perEpoch] ?? [];
  };
  return { perEpoch, layoutAt, batchAt: (step) => assembleBatch(examples, layoutAt(step), options.maxLength) };
}

type Plan = (options: BatchesOptions, order: Int32Array, epoch: number) => number[][][];

function orderOf({ examples, seed, shuffle = true }: BatchesOptions, epoch: number): Int32Array {
  return shuffle ? epochOrder(examples.length, seed, epoch) : Int32Array.from(examples, (_, i) => i);
}

/** A fixed number of examples each, in the epoch's order. */
const sizedPlan: Plan = ({ batchSize = 1 }, order) => {
  return chunks(
    Array.from(order, (i) => [i]),
    batchSize,
  );
};

/** Rows of like length together, as many as fit; then the micro-batches in a random order of their own. */
const lengthPlan: Plan = (options, order, epoch) => {
  const { examples, batchTokens = 0, maxLength } = options;
  const lengthOf = (i: number): number => examples[i]?.tokens.length ?? 0;
  const sorted = Array.from(order).sort((a, b) => lengthOf(b) - lengthOf(a));
  const plan: number[][][] = [];
  for (let from = 0; from < sorted.length; ) {
    const rows = Math.floor(batchTokens / paddedLength(lengthOf(sorted[from] ?? 0), maxLength));
    plan.push(sorted.slice(from, from + rows).map((i) => [i]));
    from += rows;
  }
  return shuffled(options, plan, epoch);
};

/** Examples packed into rows; then the rows in a random order of their own. */
const packedPlan: Plan = (options, order, epoch) => {
  const { examples, batchTokens, maxLength } = options;
  const lengths = examples.map((example) => example.tokens.length);
  const bins = shuffled(options, packBestFit(order, lengths, maxLength), epoch);
  return chunks(bins, batchTokens === undefined ? (options.batchSize ?? 1) : Math.floor(batchTokens / maxLength));
};

function shuffled<T>({ seed, shuffle = true }: BatchesOptions, items: readonly T[], epoch: number): T[] {
  if (!shuffle) return [...items];
  return Array.from(philoxPermutation(items.length, seed, batchStream, epoch)).flatMap((i) => items.slice(i, i + 1));
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

function check({ examples, batchSize, batchTokens, maxLength, packing }: BatchesOptions): void {
  const whole = (name: string, value: number): void => {
    if (Number.isInteger(value) && value > 0) return;
    throw new FtError("config", `${name} is ${value}`, "use a whole number of at least 1");
  };
  whole("maxLength", maxLength);
  if (batchSize !== undefined) whole("batchSize", batchSize);
  if (batchTokens !== undefined) whole("batchTokens", batchTokens);
  if ((batchSize === undefined) === (batchTokens === undefined)) {
    throw new FtError("config", "a micro-batch needs one size", "give either batchSize or batchTokens");
  }
  if (examples.length === 0) throw new FtError("data", "there are no examples to batch", "load at least one row");
  const longest = examples.reduce((length, example) => Math.max(length, example.tokens.length), 0);
  if (longest > maxLength) {
    throw new FtError(
      "config",
      `maxLength is ${maxLength}, but an example has ${longest} tokens`,
      "encode with the same maxLength",
    );
  }
  const needed = packing ? maxLength : paddedLength(longest, maxLength);
  if (batchTokens !== undefined && batchTokens < needed) {
    throw new FtError(
      "config",
      `batchTokens is ${batchTokens}, but one row takes ${needed}`,
      `raise it to ${needed} at least`,
    );
  }
}
