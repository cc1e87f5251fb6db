import { type Batch, type Batches, loadTokenizer } from "@ft/data";
import type { SettledConfig } from "../config/settle.ts";
import { openTemplate } from "../run/open-model.ts";
import { prepareRows } from "../train/rows.ts";
import type { DescribedModel } from "./described-model.ts";

/** What is known of a run's micro-batches. */
export interface PlannedRows {
  /** the largest: what memory is planned for */
  readonly largest: Batch;
  /** positions of a micro-batch on average, of those of the largest */
  readonly share: number;
  /** micro-batches of an epoch; undefined where the rows are not known */
  readonly perEpoch: number | undefined;
}

/** From the configuration alone: rows of maxLength tokens, each of them a target. */
function assumedRows({ batchSize, batchTokens, maxLength }: SettledConfig, vocabSize: number): PlannedRows {
  const rows = batchTokens === undefined ? (batchSize ?? 1) : Math.max(1, Math.floor(batchTokens / maxLength));
  const places = rows * maxLength;
  const ids = Int32Array.from({ length: places }, (_, i) => i % vocabSize);
  const largest: Batch = {
    batch: rows,
    seq: maxLength,
    tokens: ids,
    targets: ids,
    positions: Int32Array.from({ length: places }, (_, i) => i % maxLength),
    segments: new Int32Array(places).fill(1),
    targetTokens: places,
    rows: [0],
  };
  return { largest, share: 1, perEpoch: undefined };
}

/** Of the rows themselves: the largest micro-batch of the first epoch. */
export function measuredRows(training: Batches): PlannedRows {
  let largest = training.batchAt(0);
  let places = 0;
  for (let n = 0; n < training.perEpoch; n++) {
    const batch = training.batchAt(n);
    places += batch.tokens.length;
    if (batch.tokens.length > largest.tokens.length) largest = batch;
  }
  return { largest, share: places / training.perEpoch / largest.tokens.length, perEpoch: training.perEpoch };
}

/** Micro-batches that are all the largest. */
export function repeated({ largest, perEpoch = 1_000_000 }: PlannedRows): Batches {
  return { perEpoch, batchAt: () => largest, layoutAt: () => [largest.rows] };
}

/** The rows that the configuration names, or what it says of them where it names none. */
export async function rowsFor(config: SettledConfig, { config: { vocabSize } }: DescribedModel): Promise<PlannedRows> {
  if (config.data === "") return assumedRows(config, vocabSize);
  const tokenizer = await loadTokenizer(config.model);
  const template = await openTemplate(tokenizer, config.chatTemplate);
  return measuredRows((await prepareRows(config, tokenizer, template)).training);
}
