import {
  type Batches,
  batches,
  type ChatTemplate,
  type EncodeStats,
  type Example,
  encodeConversations,
  loadRows,
  splitRows,
  type Tokenizer,
} from "@ft/data";
import type { SettledConfig } from "../config/settle.ts";
import { type LengthHistogram, lengthHistogram } from "./facts.ts";

/** The rows of a run as micro-batches: those to train on, and those held out, if any. */
export interface TrainingRows {
  readonly training: Batches;
  readonly heldOut: Batches | undefined;
  readonly stats: EncodeStats;
  readonly heldOutStats: EncodeStats | undefined;
  readonly lengths: LengthHistogram;
  readonly heldOutLengths: LengthHistogram | undefined;
  /** longest row, in tokens */
  readonly maxLength: number;
  /** whether answers end with a token at which generation stops */
  readonly ends: boolean;
}

/** Reads, splits, encodes and batches the rows of a run. */
export async function prepareRows(
  config: SettledConfig,
  tokenizer: Tokenizer,
  template: ChatTemplate,
): Promise<TrainingRows> {
  const { maxLength, batchSize, batchTokens } = config;
  const { seed, packing, truncation, validationFraction: fraction } = config;
  const rows = await loadRows(config.data);
  const hold = config.validation === undefined && fraction > 0 && rows.length > 1;
  const split = hold ? splitRows(rows, { fraction, seed }) : { train: rows, heldOut: [] };
  const held = config.validation === undefined ? split.heldOut : await loadRows(config.validation);

  const encode = { maxLength, truncation };
  const training = encodeConversations(tokenizer, template, split.train, encode);
  const heldOut = held.length === 0 ? undefined : encodeConversations(tokenizer, template, held, encode);
  const size = { ...(batchSize !== undefined && { batchSize }), ...(batchTokens !== undefined && { batchTokens }) };
  return {
    training: batches({ examples: training.examples, seed, maxLength, packing, ...size }),
    heldOut: heldOut && batches({ examples: heldOut.examples, seed, maxLength, packing, shuffle: false, ...size }),
    stats: training.stats,
    heldOutStats: heldOut?.stats,
    lengths: lengthHistogram(training.examples),
    heldOutLengths: heldOut && lengthHistogram(heldOut.examples),
    maxLength,
    ends: training.examples.some((example) => endsAnswer(example, tokenizer)),
  };
}

/** Whether a stop id is among the last tokens that a row trains: some templates put a line break behind it. */
function endsAnswer({ targets }: Example, { stopIds }: Tokenizer): boolean {
  return Array.from(targets)
    .filter((id) => id >= 0)
    .slice(-3)
    .some((id) => stopIds.includes(id));
}
