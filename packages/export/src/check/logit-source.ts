import { type Batch, type CausalLm, type HostBatch, uploadBatch } from "@ft/models";

/** What gives the logits of a text: a model of ours on its backend, or one in another program. */
export interface LogitSource {
  readonly vocabSize: number;
  /** tokens of a text at most */
  readonly maxPositions: number;
  /** Scores of the next token after each of `ids`, [rows, vocab] at a time on the host, in order; the last piece may be shorter. */
  logitRows(ids: readonly number[], rows: number): AsyncIterable<Logits>;
}

/** Logits on the host. */
export type Logits = Float32Array | Float64Array;

/** Bytes of one model's logits that may exist at a time. */
const logitsBytes = 32 * 2 ** 20;

/** How many rows of logits are asked for at a time. */
export const rowsAtATime = (vocabSize: number): number => Math.max(1, Math.floor(logitsBytes / (4 * vocabSize)));

/** A model, or what is a source already, as a source. Code "data" for ids that a model does not know. */
export function logitSource(model: CausalLm | LogitSource): LogitSource {
  if ("logitRows" in model) return model;
  const { vocabSize, maxPositions } = model.config;
  return { vocabSize, maxPositions, logitRows: (ids, rows) => rowsOfModel(model, ids, rows) };
}

async function* rowsOfModel(model: CausalLm, ids: readonly number[], rows: number): AsyncGenerator<Logits> {
  const batch = upload(model, ids);
  try {
    for (const piece of model.logitPieces(batch, rows)) {
      try {
        yield await piece.read();
      } finally {
        piece.dispose();
      }
    }
  } finally {
    for (const held of Object.values(batch)) held.dispose();
  }
}

function upload(model: CausalLm, ids: readonly number[]): Batch {
  const seq = ids.length;
  const host: HostBatch = {
    ...{ batch: 1, seq, tokens: Int32Array.from(ids), targets: new Int32Array(seq).fill(-1) },
    positions: Int32Array.from(ids, (_, i) => i),
    segments: new Int32Array(seq).fill(1),
  };
  return uploadBatch(model.backend, host, model.config.vocabSize);
}
