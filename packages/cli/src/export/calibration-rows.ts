import { basename } from "node:path";
import { loadRows, splitRows, type Tokenizer } from "@ft/data";
import { FtError } from "@ft/tensor";
import { fitting, type MeasuredRows, measuredRows } from "./perplexity.ts";
import { dataOfRun, type FileRows } from "./run-data.ts";

/** Rows that a quantiser looks at, and others that it is measured on. */
export interface CalibrationRows {
  /** token ids */
  readonly calibration: readonly (readonly number[])[];
  /** "128 rows of rows.json (27,171 tokens)" */
  readonly what: string;
  /** what was held out of those; undefined where none is short enough */
  readonly measured: MeasuredRows | undefined;
}

/** Where they come from. */
export interface CalibrationOptions {
  /** a file of rows; the training data of the adapter's run when undefined */
  readonly data: string | undefined;
  readonly adapter: string | undefined;
  /** rows to calibrate on, at most */
  readonly rows: number;
  /** the model's context, in tokens */
  readonly context: number;
}

/** rows that are measured on, at most: a check is to take a minute, not an hour */
const mostMeasured = 32;
/** tokens of a row at most; longer ones are left out */
const longest = 2048;
/** tokens of all rows at most, as many as AutoAWQ takes: their activations are in memory, in f32 */
const mostTokens = 128 * 512;
/** a file's rows are split alike in every export */
const seed = 0;

/**
 * Rows to calibrate on and to measure on, encoded as in training. Of a run's data, those that it trained on and those that it held out.
 * Errors: "config" (no data is known), "missing", "data" as of training data, and for a file of one row or a single question.
 */
export async function calibrationRows(tokenizer: Tokenizer, options: CalibrationOptions): Promise<CalibrationRows> {
  const { train, heldOut, wasHeldOut } = await found(options);
  const maxLength = Math.min(longest, options.context);
  const some = train.conversations.slice(0, options.rows);
  const { rows } = measuredRows(tokenizer, some, { maxLength, which: "rows" });
  const calibration = upTo(
    rows.map(({ tokens }) => Array.from(tokens)),
    mostTokens,
  );
  const others = heldOut.conversations.slice(0, mostMeasured);
  const which = `${wasHeldOut ? "held-out" : "other"} rows of ${basename(heldOut.file)}`;
  const tokens = calibration.reduce((sum, ids) => sum + ids.length, 0);
  return {
    calibration,
    what: `${calibration.length} rows of ${basename(train.file)} (${tokens.toLocaleString("en")} tokens)`,
    measured: fitting(() => measuredRows(tokenizer, others, { maxLength, which })),
  };
}

/** The first rows, the last of which reaches so many tokens. */
function upTo(rows: readonly (readonly number[])[], most: number): readonly (readonly number[])[] {
  let tokens = 0;
  return rows.filter(({ length }) => {
    const room = tokens < most;
    tokens += length;
    return room;
  });
}

interface FoundRows {
  readonly train: FileRows;
  readonly heldOut: FileRows;
  /** whether training did not see them either */
  readonly wasHeldOut: boolean;
}

async function found({ data, adapter }: CalibrationOptions): Promise<FoundRows> {
  if (data !== undefined) return split({ file: data, conversations: await loadRows(data) });
  const none = (why: string): FtError =>
    new FtError(
      "config",
      `no --data is given${why}: there are no rows to calibrate on`,
      "give rows like those in training with --data FILE",
    );
  if (adapter === undefined) throw none("");
  const run = await dataOfRun(adapter);
  if (run?.train === undefined) throw none(`, and no run.json beside ${adapter} says what it was trained on`);
  const { file, conversations } = run.train;
  if (conversations === undefined) throw none(`, and ${file}, which the adapter was trained on, is not there`);
  const train = { file, conversations };
  return run.heldOut ? { train, heldOut: run.heldOut, wasHeldOut: true } : split(train);
}

/** Rows of a file that nothing was held out of. */
function split({ file, conversations }: FileRows): FoundRows {
  const { length } = conversations;
  if (length < 2)
    throw new FtError(
      "data",
      `${file}: holds one row`,
      "give two or more: they calibrate, or are measured on, not both",
    );
  const count = Math.min(mostMeasured, Math.max(1, Math.floor(length / 5)));
  const { train, heldOut } = splitRows(conversations, { count, seed });
  return { train: { file, conversations: train }, heldOut: { file, conversations: heldOut }, wasHeldOut: false };
}
