import { join } from "node:path";
import type { Tokenizer } from "@ft/data";
import { answerAll, type Likelihood, rowLikelihood } from "@ft/eval";
import type { CausalLm } from "@ft/models";
import { FtError } from "@ft/tensor";
import type { Io } from "../io.ts";
import { type Document, documentLikelihood } from "./general.ts";
import { openRowsFile, type RowsFile, rowsInMemory } from "./rows-file.ts";
import type { TestRow } from "./test-rows.ts";

/** A row of losses.<subject>.jsonl and general.<subject>.jsonl. */
interface LossRow extends Likelihood {
  readonly index: number;
}

/** A row of predictions.<subject>.jsonl; the scores are added when all rows are there. */
export interface PredictionRow {
  readonly index: number;
  readonly row: number;
  readonly prompt: TestRow["prompt"];
  readonly prediction: string;
  readonly references: readonly string[];
  readonly scores?: Readonly<Record<string, number>>;
}

/** What is asked of a model, and how. */
export interface Questions {
  readonly rows: readonly TestRow[];
  readonly losses: boolean;
  readonly answers: boolean;
  readonly documents: readonly Document[] | undefined;
  readonly batchSize: number;
  readonly maxNewTokens: number;
}

/** What a subject made of them. */
export interface Measured {
  readonly likelihoods?: readonly Likelihood[];
  readonly predictions?: readonly string[];
  readonly general?: readonly Likelihood[];
}

interface Answering {
  readonly model: CausalLm;
  readonly tokenizer: Tokenizer;
  readonly stopIds: readonly number[];
}

/** Asks a model everything that `out` does not hold yet under this name. */
export async function measureSubject(
  name: string,
  { model, tokenizer, stopIds }: Answering,
  questions: Questions,
  out: string | undefined,
  io: Io,
  signal: AbortSignal,
): Promise<Measured> {
  const { rows, documents, batchSize, maxNewTokens } = questions;
  const open = async <Row extends { readonly index: number }>(
    kind: string,
    read: (value: unknown) => Row | undefined,
  ): Promise<RowsFile<Row>> =>
    out === undefined ? rowsInMemory<Row>() : openRowsFile(join(out, `${kind}.${name}.jsonl`), read);

  const losses = async <Item>(
    kind: "losses" | "general",
    items: readonly Item[],
    likelihood: (item: Item) => Promise<Likelihood>,
  ): Promise<readonly Likelihood[]> => {
    await using file = await open(kind, readLoss);
    const report = progress(io, `${name}: ${kind}`, items.length, file.rows.length);
    for (const [index, item] of items.entries()) {
      if (index < file.rows.length) continue;
      // a turn of the event loop, so that a signal can arrive while the backend keeps this thread busy
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      await file.append({ index, ...(await likelihood(item)) });
      report(file.rows.length);
    }
    return file.rows.slice(0, items.length);
  };

  const answers = async (): Promise<readonly string[]> => {
    await using file = await open("predictions", readPrediction);
    const done = Math.min(file.rows.length, rows.length);
    const report = progress(io, `${name}: predictions`, rows.length, done);
    const prompts = rows.map(({ promptIds }) => promptIds);
    for await (const { index, ids } of answerAll(model, prompts, { batchSize, maxNewTokens, stopIds, done, signal })) {
      const { row, prompt, references } = rows[index]!;
      const prediction = tokenizer.decode([...ids], { skipSpecialTokens: true });
      await file.append({ index, row, prompt, prediction, references });
      report(index + 1);
    }
    return file.rows.slice(0, rows.length).map(({ prediction }) => prediction);
  };

  return {
    ...(questions.losses && { likelihoods: await losses("losses", rows, (row) => lossOf(model, row)) }),
    ...(questions.answers && { predictions: await answers() }),
    ...(documents && {
      general: await losses("general", documents, (item) => documentLikelihood(model, item, signal)),
    }),
  };
}

function lossOf(model: CausalLm, { row, example }: TestRow): Promise<Likelihood> {
  if (example === undefined)
    throw new FtError("input", `row ${row} was not encoded for its loss`, "encode it with losses asked for");
  return rowLikelihood(model, example);
}

function readLoss(value: unknown): LossRow | undefined {
  const { index, nll, tokens }: Record<string, unknown> = Object(value);
  const numbers = typeof index === "number" && typeof nll === "number" && typeof tokens === "number";
  return numbers ? { index, nll, tokens } : undefined;
}

/** A row of a file of predictions, if it is one. */
export function readPrediction(value: unknown): PredictionRow | undefined {
  return isPrediction(value) ? value : undefined;
}

function isPrediction(value: unknown): value is PredictionRow {
  const { index, row, prompt, prediction, references }: Record<string, unknown> = Object(value);
  const lists = Array.isArray(prompt) && Array.isArray(references);
  return typeof index === "number" && typeof row === "number" && typeof prediction === "string" && lists;
}

/** Says how far it is, about every tenth. */
function progress(io: Io, what: string, total: number, before: number): (done: number) => void {
  const begun = performance.now();
  if (before > 0) io.note(`${what}: ${Math.min(before, total)} of ${total} are there already`);
  let said = Math.floor((10 * before) / total);
  return (done) => {
    const tenth = Math.floor((10 * done) / total);
    if (tenth === said) return;
    said = tenth;
    const seconds = (performance.now() - begun) / 1000;
    const left = Math.round((seconds / (done - before)) * (total - done));
    io.note(`${what}: ${done} of ${total}${done < total ? `, ${left} s left` : ""}`);
  };
}
